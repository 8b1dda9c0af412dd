"""The values of a recipe that are made from the data: voxel size, normalization, patch and batch."""
