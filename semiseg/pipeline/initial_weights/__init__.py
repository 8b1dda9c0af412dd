"""Weights that training starts from: an earlier run's or a file's, matched to the networks before training."""
