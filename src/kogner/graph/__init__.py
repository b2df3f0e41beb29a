"""What is known: readers of graph sources, the store, the lexicon, the neighbourhood sampler."""
