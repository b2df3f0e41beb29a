"""Experiments as files: the same student trained in several ways, paired by seed, scored and compared."""
