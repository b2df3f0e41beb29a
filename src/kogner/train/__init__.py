"""One training loop, its optimiser, checkpoints and log."""

from kogner.hardware import TRAINING_KERNELS, bound_kernels

bound_kernels(TRAINING_KERNELS)  # before the rest is imported, which would take the bound of annotating
