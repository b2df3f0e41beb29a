"""Finding entities in text with a trained student."""
