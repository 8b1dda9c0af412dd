"""The composition root: assembles runs, checks and predictions from their parts."""
