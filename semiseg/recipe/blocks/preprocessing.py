"""The recipe's ``preprocessing``."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, model_validator

from semiseg.recipe.blocks.base import Count, Model

SliceAxis = Literal["auto", "right", "anterior", "superior"]
VoxelSize = Annotated[float, Field(ge=1e-6, le=100)]
Spacing = Annotated[tuple[VoxelSize, ...], Field(min_length=2, max_length=3)]
Size = Annotated[tuple[Annotated[int, Field(gt=0, le=10**5)], ...], Field(min_length=2, max_length=3)]
Normalization = Literal["zscore", "minmax", "ct", "none"]


class Intensities(Model):
    """A modality's intensities within the classes of the labeled training cases, with which ``ct`` normalizes."""

    low: float
    """The 0.5th percentile: lower values are raised to it."""
    high: float
    """The 99.5th percentile: higher values are lowered to it."""
    mean: float
    """Subtracted after that."""
    deviation: PositiveFloat
    """The standard deviation, by which the difference is divided."""

    @model_validator(mode="after")
    def _ordered(self) -> "Intensities":
        if self.low >= self.high:
            raise ValueError(f"low ({self.low}) must be less than high ({self.high})")
        return self


class Preprocessing(Model):
    """Processing of every case, once, before training. No case's own label is used."""

    newer = frozenset({"crop_margin", "slice_axis", "spacing", "resize", "interpolation", "intensities"})

    normalize: Normalization | Literal["auto"] | dict[str, Normalization] = "zscore"
    """zscore and minmax: per modality over its foreground, to zero mean and unit variance, or to the range 0 to 1. ct:
    by the ``intensities`` of all training cases. auto: ct for CT, otherwise zscore. Or a mapping by modality."""
    foreground: Literal["nonzero", "all", "auto"] = "nonzero"
    """Foreground voxels: those that are not 0 (skull-stripped MR), or all (CT). Background stays 0. auto: nonzero if
    many voxels are 0 and no modality is CT."""
    crop: bool = True
    """Crop to the bounding box of the foreground."""
    crop_margin: Count = 0
    """Voxels of an image that are kept around that box on each side."""
    spacing: Literal["auto", "none"] | Spacing = "none"
    """Voxel size in mm to which images are resampled, along right, anterior and superior; in the plane with a two-sided
    patch. auto: the median of the training cases, finer along a coarse axis. none: each image keeps its voxels."""
    resize: Literal["none"] | Size = "none"
    """Number of voxels to which images are resampled whatever their voxel size, along right, anterior and superior; in
    the plane with a two-sided patch."""
    interpolation: Literal["spline", "linear"] = "spline"
    """Interpolation of images that are resampled: cubic splines, or linear."""
    intensities: Literal["auto"] | dict[str, Intensities] = "auto"
    """For ct, by modality. auto: measured in the labeled training cases."""
    slice_axis: SliceAxis = "auto"
    """With a two-sided patch, the axis across which volumes are sliced; auto: the one with the largest spacing."""
    store: Path | None = None
    """Folder of the case store; by default $SEMISEG_CACHE/store, or ~/.cache/semiseg/store."""

    @property
    def resamples(self) -> bool:
        """Whether images are resampled, to a voxel size or to a number of voxels."""
        return self.spacing != "none" or self.resize != "none"

    @property
    def in_plane(self) -> bool:
        """Whether images are resampled in the plane of their slices, so that the result depends on the slice axis."""
        return any(not isinstance(given, str) and len(given) == 2 for given in (self.spacing, self.resize))

    @model_validator(mode="after")
    def _one_grid(self) -> "Preprocessing":
        if self.spacing != "none" and self.resize != "none":
            raise ValueError("spacing and resize both say to which grid images are resampled: leave one out")
        return self

    @model_validator(mode="after")
    def _margin_of_a_crop(self) -> "Preprocessing":
        if self.crop_margin and (not self.crop or self.foreground == "all"):
            why = "crop is false" if not self.crop else "with foreground all, images are not cropped"
            raise ValueError(f"crop_margin is set, but {why}: leave it out")
        return self

    @model_validator(mode="after")
    def _air_is_not_zero(self) -> "Preprocessing":
        methods = self.normalize.values() if isinstance(self.normalize, dict) else [self.normalize]
        if "ct" in methods and self.foreground == "nonzero":
            raise ValueError("in CT, 0 is water, not background: with normalize ct, set foreground to all")
        return self
