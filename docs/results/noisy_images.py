"""Copies of the NIfTI images in a folder with noise: none in the first, up to twice the image's standard deviation.

python docs/results/noisy_images.py IMAGES NOISY
"""

import sys
from pathlib import Path

import nibabel as nib
import numpy as np

source, target = map(Path, sys.argv[1:])
target.mkdir(parents=True, exist_ok=True)
for number, path in enumerate(sorted(source.glob("*.nii.gz"))):
    image = nib.load(path)
    values = np.asarray(image.dataobj, np.float32)
    noise = np.random.default_rng(number).normal(size=values.shape) * values.std() * 0.5 * (number % 5)
    nib.save(nib.Nifti1Image((values + noise).astype(np.float32), image.affine), target / path.name)
