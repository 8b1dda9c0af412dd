"""The drawn parameters of one sample's augmentation, as plain numbers, independent of how they are applied."""

from dataclasses import dataclass, replace

from semiseg.augmentation.intensity import Curve


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """Transforms of a sample, in this order; the defaults do nothing.

    Attributes:
        zoom: 1.1 enlarges by a tenth; in voxels, the same along all axes.
        degrees: angles of the rotations around x, y and z, as in ``spatial.rotation_matrix``. A 2D sample is rotated by
            the one around z, which is perpendicular to the plane.
        flips: the axes (0, 1, 2) that are reversed after that; 2 has no effect on a 2D sample.
        curves: the intensity transform of each channel.
        turns: quarter turns in the plane of the first two axes, as in ``torch.rot90``.
    """

    zoom: float = 1.0
    degrees: tuple[float, float, float] = (0.0, 0.0, 0.0)
    flips: tuple[int, ...] = ()
    curves: tuple[Curve, ...] = ()
    turns: int = 0

    @property
    def interpolates(self) -> bool:
        """True if voxels fall between those of the source; otherwise cropping and flipping suffices and is exact."""
        return self.zoom != 1 or any(self.degrees)

    def in_plane(self) -> "Change":
        """Return the part of this change that applies to a 2D sample."""
        return replace(self, degrees=(0.0, 0.0, self.degrees[2]), flips=tuple(axis for axis in self.flips if axis < 2))
