"""The augmentation of the reference study."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, PositiveFloat, field_validator

from semiseg.errors import ComponentError
from semiseg.interfaces.augmentation import Augmentation
from semiseg.interfaces.component import ComponentOptions
from semiseg.types import Shape

if TYPE_CHECKING:
    from torch import Tensor

    from semiseg.augmentation.intensity import Curve

Axis = Literal["left-right", "anterior-posterior", "superior-inferior"]
AXES: tuple[Axis, ...] = ("left-right", "anterior-posterior", "superior-inferior")
Operation = Literal[
    "scaling", "rotation", "flipping", "gamma", "histogram_shift", "intensity_shift", "intensity_scaling"
]
OF_INTENSITIES: tuple[Operation, ...] = ("gamma", "histogram_shift", "intensity_shift", "intensity_scaling")
Probability = Annotated[float, Field(ge=0, le=1)]
Range = tuple[PositiveFloat, PositiveFloat]
Points = Annotated[int, Field(ge=3)]


class Luque2023Augmentation(Augmentation):
    """Scaling, rotation, flipping, contrast, histogram shift, intensity shift and scaling, in TorchIO.

    The operations of Luque, Ottesen et al. 2023, "Reducing Annotator's Burden: Cross-Pseudo Supervision for Brain Tumor
    Segmentation". The paper gives no ranges, probabilities or order: the defaults are semiseg's, those of the study's
    code are in the ``brats_*`` recipes (docs/adr/0015-the-reference-study.md). Zoom and rotation are in voxels.
    Intensities change independently for each channel, and whether an operation is applied is also drawn for each
    channel (each axis for flipping), unless ``same_for_channels``.

    2D images are zoomed along both axes, rotated in the plane and flipped along its axes. The numbers drawn are those
    of 3D; two angles and the third axis's flip have no effect.
    """

    class Options(ComponentOptions):
        """Ranges and probabilities."""

        newer: ClassVar[frozenset[str]] = frozenset({"same_for_channels", "quarter_turns", "gamma_distribution"})

        scaling: Range = (0.9, 1.1)
        """Zoom, the same along all axes; 1.1 enlarges by a tenth."""
        rotation: Annotated[float, Field(ge=0, le=180)] = 15.0
        """Largest angle around each axis, in degrees; in 2D, in the plane."""
        flip_axes: tuple[Axis, ...] = AXES
        """Axes that may be flipped; omit one if its two sides are different classes.

        In 2D, ``left-right`` is the first axis of the plane and ``anterior-posterior`` the second, whatever they are
        in the patient: in sagittal slices, ``left-right`` flips front and back. ``superior-inferior`` has no effect."""
        quarter_turns: Probability = 0.0
        """Probability of one to three quarter turns in the plane of the first two axes, where the patch is square."""
        gamma: Range = (0.7, 1.5)
        """Exponent on the channel rescaled to [0, 1]."""
        gamma_distribution: Literal["log_uniform", "uniform"] = "log_uniform"
        """log_uniform: as often below 1 as above it, if the range's ends are reciprocal."""
        histogram_points: Points | tuple[Points, Points] = 10
        """Control points of the histogram shift, equally spaced over the channel's range; of two, any number between
        them."""
        histogram_shift: Annotated[float, Field(ge=0, le=1)] = 1.0
        """Strength of the histogram shift: 1 moves control points up to their neighbors, 0 not at all."""
        intensity_shift: Annotated[float, Field(ge=0)] = 0.1
        """Largest shift, in standard deviations of the channel."""
        intensity_scaling: Annotated[float, Field(ge=0, lt=1)] = 0.1
        """Largest relative change of the scale; 0.1 means factors from 0.9 to 1.1."""
        probability: Probability = 0.5
        """Probability of each operation."""
        probabilities: Mapping[Operation, Probability] = {}
        """Probabilities of individual operations, such as {flipping: 0.5, gamma: 0.2}."""
        same_for_channels: bool = False
        """Change the intensities of all channels alike: one draw for a sample instead of one for each channel."""
        keep_background: bool = True
        """Voxels of exactly 0 (background of skull-stripped images, padding) stay 0 through intensity operations.

        In prediction they are always 0, too."""
        margin: Annotated[float, Field(ge=0, le=1)] = 0.25
        """Maximum margin to read around a patch for zoom and rotation, as a fraction of it. More costs time; beyond it,
        voxels are 0."""

        @field_validator("flip_axes", mode="before")
        @classmethod
        def _numbers(cls, axes: object) -> object:
            if isinstance(axes, list | tuple):
                return tuple(AXES[a] if isinstance(a, int) and 0 <= a < len(AXES) else a for a in axes)
            return axes

        @field_validator("scaling", "gamma", "histogram_points")
        @classmethod
        def _ordered(cls, values: int | tuple[float, float]) -> int | tuple[float, float]:
            if isinstance(values, tuple) and values[0] > values[1]:
                raise ValueError(f"the smaller number of a range comes first: write [{values[1]}, {values[0]}]")
            return values

    def source_size(self, patch_size: Shape) -> Shape:
        """Return the size that zoom and rotation may need, limited by the margin."""
        from semiseg.augmentation.spatial import size_to_read

        o = self.options
        if o.quarter_turns and patch_size[0] != patch_size[1]:
            needed = "a patch that is square in its first two axes"
            what = f"augmentation.quarter_turns needs {needed}, not {list(patch_size)}."
            raise ComponentError(what, "Give the patch equal first sides, or set quarter_turns to 0.")
        zoom = o.scaling[0] if self._probability("scaling") else 1.0
        return size_to_read(patch_size, zoom, o.rotation if self._probability("rotation") else 0.0, o.margin)

    def flipped_axes(self, spatial_dims: int) -> tuple[int, ...]:
        """Return the axes of ``flip_axes`` that samples have, if flips happen at all."""
        if not self._probability("flipping"):
            return ()
        return tuple(sorted({AXES.index(axis) for axis in self.options.flip_axes} & {*range(spatial_dims)}))

    def geometric(self) -> Luque2023Augmentation:
        """Return the augmentation with a probability of 0 for the operations on intensities."""
        o = self.options
        probabilities = {**o.probabilities, **dict.fromkeys(OF_INTENSITIES, 0.0)}
        return type(self)(o.model_copy(update={"probabilities": probabilities}))

    def __call__(self, image: Tensor, label: Tensor | None, patch_size: Shape) -> tuple[Tensor, Tensor | None]:
        """Apply the operations; labels by nearest neighbor."""
        from semiseg.augmentation import torchio_steps

        axes = tuple(AXES.index(axis) for axis in self.options.flip_axes)
        steps = [torchio_steps.RandomZoomAndRotation(patch_size, self._draw_pose)]
        if axes:
            steps.append(torchio_steps.RandomFlip(axes, self._probability("flipping")))
        if self.options.quarter_turns:
            steps.append(torchio_steps.RandomQuarterTurns(self._draw_turns))
        steps.append(torchio_steps.RandomCurves(self._draw_curves, self.options.keep_background, len(patch_size)))
        return torchio_steps.run(steps, image, label)

    def _draw_pose(self) -> tuple[float, tuple[float, float, float]]:
        """Draw a zoom and three angles in degrees."""
        o = self.options
        zoom = _uniform(*o.scaling) if self._happens("scaling") else 1.0
        if not self._happens("rotation"):
            return zoom, (0.0, 0.0, 0.0)
        return zoom, (_signed(o.rotation), _signed(o.rotation), _signed(o.rotation))

    def _draw_turns(self) -> int:
        """Draw a number of quarter turns."""
        return 1 + int(_uniform(0, 3)) if _uniform(0, 1) < self.options.quarter_turns else 0

    def _draw_curves(self, n_channels: int) -> tuple[Curve, ...]:
        """Draw the intensity curve of each channel."""
        if self.options.same_for_channels:
            return (self._draw_curve(),) * n_channels
        return tuple(self._draw_curve() for _ in range(n_channels))

    def _draw_curve(self) -> Curve:
        from semiseg.augmentation.intensity import Curve

        o = self.options
        gamma = self._draw_gamma() if self._happens("gamma") else 1.0
        heights = draw_heights(self._draw_points(), o.histogram_shift) if self._happens("histogram_shift") else None
        shift = _signed(o.intensity_shift) if self._happens("intensity_shift") else 0.0
        factor = 1 + _signed(o.intensity_scaling) if self._happens("intensity_scaling") else 1.0
        return Curve(gamma, heights, shift, factor)

    def _draw_gamma(self) -> float:
        low, high = self.options.gamma
        if self.options.gamma_distribution == "uniform":
            return _uniform(low, high)
        return float(low * (high / low) ** _uniform(0, 1))

    def _draw_points(self) -> int:
        points = self.options.histogram_points
        return points if isinstance(points, int) else int(_uniform(points[0], points[1] + 1))

    def _happens(self, operation: Operation) -> bool:
        return _uniform(0, 1) < self._probability(operation)

    def _probability(self, operation: Operation) -> float:
        return float(self.options.probabilities.get(operation, self.options.probability))


def draw_heights(n_points: int, amount: float) -> Tensor:
    """Draw a random monotone map of [0, 1] onto itself, at equally spaced points.

    As in MONAI's RandHistogramShift, each point in turn is drawn between the previous one, as drawn, and the next one;
    ``amount`` interpolates between the straight line and the result.
    """
    import torch

    line = torch.linspace(0, 1, n_points)
    drawn = line.clone()
    heights = drawn.numpy()  # faster than a tensor's elements
    for i, number in enumerate(torch.rand(n_points - 2).tolist(), 1):
        below, above = float(heights[i - 1]), float(heights[i + 1])
        heights[i] = below + (above - below) * number
    return torch.lerp(line, drawn, amount)


def _uniform(low: float, high: float) -> float:
    import torch

    return low + (high - low) * float(torch.rand(()))


def _signed(largest: float) -> float:
    return _uniform(-largest, largest)
