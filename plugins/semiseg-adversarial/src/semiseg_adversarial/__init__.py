"""Strategies with a critic that tells predictions of labeled samples from those of unlabeled ones."""
