"""The tables of the documents, by what they are of."""
