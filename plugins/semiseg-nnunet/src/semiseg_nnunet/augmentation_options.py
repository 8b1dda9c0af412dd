"""Options of the augmentation; the defaults are nnU-Net's."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, field_validator

from semiseg.plugin import ComponentOptions

Axis = Literal["left-right", "anterior-posterior", "superior-inferior"]
AXES: tuple[Axis, ...] = ("left-right", "anterior-posterior", "superior-inferior")
Operation = Literal[
    "rotation", "zoom_out", "noise", "blur", "brightness", "contrast", "low_resolution", "inverted_gamma", "gamma"
]
Probability = Annotated[float, Field(ge=0, le=1)]
Range = tuple[PositiveFloat, PositiveFloat]

PROBABILITIES: Mapping[Operation, float] = {
    "rotation": 0.2,
    "zoom_out": 0.2,
    "noise": 0.1,
    "blur": 0.2,
    "brightness": 0.15,
    "contrast": 0.15,
    "low_resolution": 0.25,
    "inverted_gamma": 0.1,
    "gamma": 0.3,
}
"""nnU-Net's probability of each operation on a sample (``nnUNetTrainer.get_training_transforms``)."""
PER_CHANNEL = 0.5
"""nnU-Net's probability that blur or low resolution, if it is applied to a sample, changes a channel of it."""


class AugmentationOptions(ComponentOptions):
    """Ranges and probabilities; the defaults are nnU-Net's."""

    rotation: Annotated[float, Field(gt=0, le=180)] | None = None
    """Largest angle in degrees. Default: 30 about each axis in 3D; in 2D, 180, or 15 if one side of the patch is more
    than 1.5 times the other; 180 in the plane of a 3D patch with one side below a third of the longest."""
    zoom_out: Range = (0.7, 1.4)
    """Range of the factor by which objects shrink, the same along all axes; below 1 they grow (nnU-Net: scaling)."""
    noise: tuple[NonNegativeFloat, NonNegativeFloat] = (0.0, 0.1)
    """Range of the standard deviation of the noise, in units of the normalized image. nnU-Net calls it a variance, but
    uses it as a standard deviation."""
    blur: Range = (0.5, 1.0)
    """Range of the blur's standard deviation in voxels, drawn for each axis and channel; half of the channels."""
    brightness: Range = (0.75, 1.25)
    """Range of the factor that a channel is multiplied by."""
    contrast: Range = (0.75, 1.25)
    """Range of the factor on a channel's differences from its mean; the result is clipped to the channel's range."""
    low_resolution: tuple[PositiveFloat, Annotated[float, Field(gt=0, le=1)]] = (0.5, 1.0)
    """Range of the reduced resolution, relative to the image's, drawn for each channel; half of the channels."""
    gamma: Range = (0.7, 1.5)
    """Range of the exponent on a channel rescaled to [0, 1], also for the inverted channel; its mean and standard
    deviation are restored."""
    probabilities: Mapping[Operation, Probability] = {}
    """Probabilities of individual operations on a sample, instead of nnU-Net's, such as {noise: 0.2, blur: 0}."""
    flip_axes: tuple[Axis, ...] = AXES
    """Axes that are flipped, each with probability 0.5; omit one if its two sides are different classes.

    In 2D, ``left-right`` is the first axis of the plane and ``anterior-posterior`` the second, whatever they are in the
    patient: in sagittal slices, ``left-right`` flips front and back. ``superior-inferior`` has no effect."""
    keep_background: bool = True
    """Voxels of exactly 0 (background of skull-stripped images, padding) are 0 again after all changes of intensity, as
    nnU-Net does where it normalizes the foreground alone. In prediction they are always 0, too."""
    margin: Annotated[float, Field(ge=0)] = 0.6
    """Maximum margin to read around a patch for rotation and zoom, as a fraction of it; 0.6 is about nnU-Net's. More
    costs time; beyond it, voxels are 0."""

    @field_validator("zoom_out", "noise", "blur", "brightness", "contrast", "low_resolution", "gamma")
    @classmethod
    def _ordered(cls, values: tuple[float, float]) -> tuple[float, float]:
        if values[0] > values[1]:
            raise ValueError(f"the smaller number of a range comes first: write [{values[1]}, {values[0]}]")
        return values

    @field_validator("brightness", "contrast", "gamma")
    @classmethod
    def _around_one(cls, values: tuple[float, float]) -> tuple[float, float]:
        if not values[0] <= 1 <= values[1]:
            raise ValueError("numbers below 1 and above 1 are equally likely, so the range must contain 1")
        return values

    def probability(self, operation: Operation) -> float:
        """Return the probability that a sample is changed by an operation."""
        return self.probabilities.get(operation, PROBABILITIES[operation])
