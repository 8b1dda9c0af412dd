"""The masks of the classes in a pair of label maps, cut to boxes."""
