"""Annotation of any number of documents into a folder: in shards, by several processes or machines, resumable."""
