"""Changes applied in torch: a batch at a time, on any device."""

from collections.abc import Sequence

import torch
from torch import Tensor

from semiseg.augmentation.change import Change
from semiseg.augmentation.intensity_lookup import apply_table
from semiseg.augmentation.spatial import crop_and_flip, resample, sampling_grid
from semiseg.types import Shape


def apply_changes(
    images: Tensor, labels: Tensor | None, changes: Sequence[Change], patch_size: Shape, keep_zero: bool
) -> tuple[Tensor, Tensor | None]:
    """Apply changes to samples and cut to the patch size, on the samples' device, without modifying the inputs.

    Args:
        images: (B, C, \\*spatial) float32, 2D or 3D; patches are cut from the center.
        labels: (B, \\*spatial) int64 class indices below 2**24, or None.
        changes: one for each sample, each with a curve for each channel.
        patch_size: voxels along each axis of the result.
        keep_zero: voxels of exactly 0 are background and stay 0.

    Returns:
        Images (B, C, \\*patch_size) float32, linearly interpolated, and labels (B, \\*patch_size) int64, by nearest
        neighbor; 0 beyond the border.
    """
    changed, changed_labels = [], []
    for i, drawn in enumerate(changes):
        change = drawn if len(patch_size) == 3 else drawn.in_plane()
        grid = _grid(images, change, patch_size)
        image = _move(images[i], grid, change, "bilinear", patch_size)
        pairs = zip(image, change.curves, strict=True)
        image = torch.stack([apply_table(channel, curve, keep_zero) for channel, curve in pairs])
        label = None
        if labels is not None:
            label = _move(labels[i, None].float(), grid, change, "nearest", patch_size)[0].long()
        image, label = turned(image, label, change.turns)
        changed.append(image)
        if label is not None:
            changed_labels.append(label)
    return torch.stack(changed), None if labels is None else torch.stack(changed_labels)


def turned(image: Tensor, label: Tensor | None, turns: int) -> tuple[Tensor, Tensor | None]:
    """Return an image (C, \\*spatial) and its label (\\*spatial) after quarter turns of the first two axes."""
    if not turns:
        return image, label
    return image.rot90(turns, (1, 2)).contiguous(), None if label is None else label.rot90(turns, (0, 1)).contiguous()


def _grid(images: Tensor, change: Change, patch_size: Shape) -> Tensor | None:
    if not change.interpolates:
        return None
    return sampling_grid(tuple(images.shape[2:]), patch_size, change.zoom, change.degrees, change.flips, images.device)


def _move(array: Tensor, grid: Tensor | None, change: Change, mode: str, patch_size: Shape) -> Tensor:
    # Pure cropping and flipping is exact: rounded positions would leak values into the background.
    return crop_and_flip(array, patch_size, change.flips) if grid is None else resample(array, grid, mode)
