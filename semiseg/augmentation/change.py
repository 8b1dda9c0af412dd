"""One sample's drawn change, as plain numbers: what was drawn is apart from how it is applied."""

from dataclasses import dataclass

from semiseg.augmentation.intensity import Curve


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """What is done to a sample, in this order; the defaults do nothing.

    Attributes:
        zoom: 1.1 makes things look a tenth larger; in voxels, the same along all axes.
        degrees: angles of the rotations around x, y and z, as ``spatial.rotation_matrix`` takes them.
        flips: the axes (0, 1, 2) that are then reversed.
        curves: what is done to the intensities of each channel, after all the rest.
    """

    zoom: float = 1.0
    degrees: tuple[float, float, float] = (0.0, 0.0, 0.0)
    flips: tuple[int, ...] = ()
    curves: tuple[Curve, ...] = ()

    @property
    def interpolates(self) -> bool:
        """Whether voxels come to lie between those of the source; else cutting and flipping is all, and exact."""
        return self.zoom != 1 or any(self.degrees)
