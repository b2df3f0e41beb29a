"""Corpora, their formats, and the link from their mentions to the graph."""
