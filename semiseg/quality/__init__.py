"""Quality without labels: the Dice to expect of a prediction, from its probabilities and a run's validation cases."""
