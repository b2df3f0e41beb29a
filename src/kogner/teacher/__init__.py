"""The graph teacher: text features Z, Graph Transformer Z', TransR Z'', and the bank that holds them."""
