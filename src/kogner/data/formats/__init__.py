"""Corpus file formats. Each reader yields documents and reports what it could not read."""
