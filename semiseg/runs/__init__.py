"""The run folder: what it holds, what belongs together, checkpoints and logs."""
