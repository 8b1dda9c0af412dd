"""Formats of volumes besides NIfTI: NRRD, MetaImage, segmentations of 3D Slicer and DICOM series."""
