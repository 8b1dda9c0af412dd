"""Training: loop, optimization, checkpoints, runtime."""
