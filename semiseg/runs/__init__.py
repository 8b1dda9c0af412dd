"""The run folder: its contents, checks that they belong together, checkpoints and logs."""
