"""The only module that imports TorchIO (1.7 s): its transforms, and those of the study that it lacks."""

from collections.abc import Callable, Sequence

import torch
import torchio as tio
from torch import Tensor
from torchio.transforms.augmentation import RandomTransform

from semiseg.augmentation.intensity import Curve, apply_curve
from semiseg.augmentation.spatial import center_crop, resample, sampling_grid
from semiseg.types import Shape


class RandomZoomAndRotation(RandomTransform, tio.SpatialTransform):  # type: ignore[misc]
    """Zoom and rotation around the center, cut to the patch.

    The result equals TorchIO's RandomAffine (tested), but only the patch's voxels are interpolated rather than the
    whole source: 2 to 3 times faster. An image (C, X, Y, 1) with a patch of two sides is treated as 2D: zoomed along x
    and y, and rotated around z.
    """

    def __init__(self, patch_size: Shape, draw: Callable[[], tuple[float, tuple[float, float, float]]]) -> None:
        super().__init__(copy=False)
        self.patch_size, self.draw = patch_size, draw

    def apply_transform(self, subject: tio.Subject) -> tio.Subject:
        """Apply one draw to all images of a subject; labels by nearest neighbor."""
        zoom, degrees = self.draw()
        dims = len(self.patch_size)
        degrees = degrees if dims == 3 else (0.0, 0.0, degrees[2])
        same = zoom == 1 and not any(degrees)
        grid = None if same else sampling_grid(subject.spatial_shape[:dims], self.patch_size, zoom, degrees)
        for image in self.get_images(subject):
            data = _drop_third(image.data, dims)
            if grid is None:
                image.set_data(_with_third(center_crop(data, self.patch_size)))
            else:
                mode = "nearest" if isinstance(image, tio.LabelMap) else "bilinear"
                image.set_data(_with_third(resample(data, grid, mode)))
        return subject


class RandomCurves(RandomTransform, tio.IntensityTransform):  # type: ignore[misc]
    """A random intensity curve for each channel of a 2D or 3D image; labels are unchanged.

    ``draw`` returns the curves of a number of channels.
    """

    def __init__(self, draw: Callable[[int], Sequence[Curve]], keep_zero: bool, dims: int = 3) -> None:
        super().__init__(copy=False)
        self.draw, self.keep_zero, self.dims = draw, keep_zero, dims

    def apply_transform(self, subject: tio.Subject) -> tio.Subject:
        """Change all channels of all images that are not labels."""
        for image in self.get_images(subject):
            channels = _drop_third(image.data, self.dims)
            curves = zip(channels, self.draw(len(channels)), strict=True)
            changed = [apply_curve(channel, curve, self.keep_zero) for channel, curve in curves]
            image.set_data(_with_third(torch.stack(changed)))
        return subject


class RandomFlip(tio.RandomFlip):  # type: ignore[misc]
    """TorchIO's flip, drawn independently for each axis; the original fails along an axis of length 1."""

    def __init__(self, axes: tuple[int, ...], probability: float) -> None:
        super().__init__(axes=axes, flip_probability=probability, copy=False)

    def apply_transform(self, subject: tio.Subject) -> tio.Subject:
        """Flip all images of a subject along the same axes."""
        happens = self.get_params(self.flip_probability)
        dims = [1 + axis for axis in self.axes if happens[axis]]
        if dims:
            torch.rand(1)  # the original draws it here, for TorchIO's Flip
            for image in self.get_images(subject):
                image.set_data(image.data.flip(dims))
        return subject


class RandomQuarterTurns(RandomTransform, tio.SpatialTransform):  # type: ignore[misc]
    """Quarter turns in the plane of the first two axes, exactly; ``draw`` returns their number."""

    def __init__(self, draw: Callable[[], int]) -> None:
        super().__init__(copy=False)
        self.draw = draw

    def apply_transform(self, subject: tio.Subject) -> tio.Subject:
        """Turn all images of a subject alike."""
        turns = self.draw()
        for image in self.get_images(subject) if turns else ():
            image.set_data(image.data.rot90(turns, (1, 2)))
        return subject


def run(steps: list[tio.Transform], image: Tensor, label: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Apply the steps to an image (C, \\*spatial) float32 and its label (\\*spatial) int64, if there is one.

    The steps replace data instead of modifying them, so nothing is copied first.
    """
    dims = image.ndim - 1
    images = {"image": tio.ScalarImage(tensor=_with_third(image))}
    if label is not None:
        images["label"] = tio.LabelMap(tensor=_with_third(label[None].float()))
    subject = tio.Compose(steps, copy=False)(tio.Subject(images))
    changed = _drop_third(subject["image"].data, dims).contiguous()
    return changed, _drop_third(subject["label"].data[0], dims).round().long() if label is not None else None


def _with_third(image: Tensor) -> Tensor:
    """Return an image (C, X, Y) as (C, X, Y, 1), which TorchIO needs; others as they are."""
    return image[..., None] if image.ndim == 3 else image


def _drop_third(array: Tensor, dims: int) -> Tensor:
    """Return an array without its last axis if samples have two dimensions."""
    return array[..., 0] if dims == 2 else array
