"""The annotation loop: unlabeled cases worth labeling next, proposals for them, and the recipe of the next round."""
