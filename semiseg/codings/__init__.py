"""The meaning of a network's outputs: classes that exclude each other, or regions that may overlap."""
