"""DICOM series of slices, written by SimpleITK."""

import locale

import numpy as np
import SimpleITK as sitk  # noqa: N813
from scipy.spatial.transform import Rotation

OBLIQUE = Rotation.from_euler("xyz", [10, -25, 40], degrees=True).as_matrix()
SPACING = (0.75, 0.875, 2.5)
ORIGIN = np.array([-10.0, 20.0, 30.5])


def text(numbers):
    return "\\".join(f"{number:.10g}" for number in numbers)


def write_slice(path, rows, position, axes=OBLIQUE, spacing=SPACING, **tags):
    """Write stored values (rows, columns); ``tags`` by names such as ``t0008_0060``, where None removes one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(rows)
    image.SetSpacing(spacing[:2])
    values = {
        "t0008_0060": "CT",
        "t0008_0018": f"1.2.3.4.{abs(hash((str(path), rows.tobytes()))) % 10**9}",
        "t0020_000d": "1.2.3",
        "t0020_000e": "1.2.3.4",
        "t0020_0032": text(position),
        "t0020_0037": text([*axes[:, 0], *axes[:, 1]]),
        "t0028_0030": text([spacing[1], spacing[0]]),
        "t0018_0050": text([spacing[2]]),
        **tags,
    }
    for name, value in values.items():
        if value is not None:
            image.SetMetaData(name[1:].replace("_", "|"), value)
    writer = sitk.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.KeepOriginalImageUIDOn()
    writer.SetFileName(str(path))
    before = locale.setlocale(locale.LC_ALL)
    writer.Execute(image)
    locale.setlocale(locale.LC_ALL, before)  # writing, but not reading, changes it, and with it the encoding of texts
    return path


def write_series(folder, array, axes=OBLIQUE, spacing=SPACING, origin=ORIGIN, places=None, name="i{:03d}.dcm", **tags):
    """Write an array (X, Y, Z), one file per slice, in names that do not follow the slices' positions."""
    count = array.shape[2]
    for index in range(count):
        place = index if places is None else places[index]
        position = origin + axes[:, 2] * spacing[2] * place
        number = (index * 7 + 3) % count if count % 7 else count - 1 - index
        write_slice(folder / name.format(number), array[:, :, index].T.copy(), position, axes, spacing, **tags)
    return folder


def affine(axes=OBLIQUE, spacing=SPACING, origin=ORIGIN):
    """The affine in RAS+."""
    result = np.eye(4)
    result[:3, :3] = axes * np.array(spacing)
    result[:3, 3] = origin
    return np.diag([-1.0, -1, 1, 1]) @ result
