"""The drawn parameters of one sample's augmentation, as plain numbers, independent of how they are applied."""

from dataclasses import dataclass

from semiseg.augmentation.intensity import Curve


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """Transforms of a sample, in this order; the defaults do nothing.

    Attributes:
        zoom: 1.1 enlarges by a tenth; in voxels, the same along all axes.
        degrees: angles of the rotations around x, y and z, as in ``spatial.rotation_matrix``.
        flips: the axes (0, 1, 2) that are reversed after that.
        curves: the intensity transform of each channel, after all the rest.
    """

    zoom: float = 1.0
    degrees: tuple[float, float, float] = (0.0, 0.0, 0.0)
    flips: tuple[int, ...] = ()
    curves: tuple[Curve, ...] = ()

    @property
    def interpolates(self) -> bool:
        """True if voxels fall between those of the source; otherwise cropping and flipping suffices and is exact."""
        return self.zoom != 1 or any(self.degrees)
