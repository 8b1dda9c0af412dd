"""Running a study's jobs, as processes or through SLURM."""
