"""The composition root: what a run, a check and a prediction are made of."""
