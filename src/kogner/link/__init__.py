"""From found mentions to entities of a graph: candidates by name, one reading per document, a vocabulary of choice.

Corpora whose mentions have ids already are linked by those, in `kogner.data.linking`.
"""
