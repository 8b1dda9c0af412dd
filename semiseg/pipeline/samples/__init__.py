"""The samples of a training: how many a step draws, their weak views, and stored pseudo-labels."""
