"""From mentions to entities of a graph: candidates by name, one reading per document, a vocabulary of choice."""
