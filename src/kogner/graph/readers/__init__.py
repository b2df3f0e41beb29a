"""Readers of graph sources. Each yields entities and triples and counts what it could not read."""
