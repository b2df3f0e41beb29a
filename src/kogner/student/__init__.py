"""The span model: encoder, factorised span head, losses, decoding."""
