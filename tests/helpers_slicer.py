"""Files as 3D Slicer saves them: images, label maps, and segmentations with named segments."""

import nibabel
import numpy as np
import SimpleITK as sitk  # noqa: N813


def save(path, array, affine):
    """Write an array (X, Y, Z), or (X, Y, Z, L) as layers, in the format of the ending, with an affine in RAS+."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.name.endswith((".nii", ".nii.gz")):
        nibabel.save(nibabel.Nifti1Image(array, affine), path)
        return path
    image = sitk.GetImageFromArray(array.transpose(2, 1, 0, *range(3, array.ndim)), isVector=array.ndim == 4)
    lps = np.diag([-1.0, -1, 1, 1]) @ affine
    spacing = np.sqrt((lps[:3, :3] ** 2).sum(axis=0))
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    sitk.WriteImage(image, str(path), True)
    return path


def segmentation(path, array, affine, segments, start=(0, 0, 0), **fields):
    """Write a .seg.nrrd; ``segments`` are (name, value, layer), ``start`` is the place of the array in the image."""
    moved = affine.copy()
    moved[:3, 3] += affine[:3, :3] @ start
    save(path, array, moved)
    lines = ["Segmentation_MasterRepresentation:=Binary labelmap"]
    for number, (name, value, layer) in enumerate(segments):
        lines += [f"Segment{number}_ID:=Segment_{number + 1}", f"Segment{number}_Name:={name}"]
        lines += [] if value is None else [f"Segment{number}_LabelValue:={value}", f"Segment{number}_Layer:={layer}"]
    lines += [f"{key}:={value}" for key, value in fields.items()]
    content = path.read_bytes()
    head, data = content.split(b"\n\n", 1)
    path.write_bytes(head + b"\n" + "\n".join(lines).encode() + b"\n\n" + data)
    return path
