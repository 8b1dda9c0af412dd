"""nnU-Net's rules by which the patch size decides how samples are rotated, and the size to read around a patch."""

import math

from semiseg.plugin import Shape

ANISOTROPIC_3D = 3.0
"""nnU-Net's ``ANISO_THRESHOLD``: a 3D patch whose sides differ by more than this is rotated and zoomed in one plane."""
ANISOTROPIC_2D = 1.5
"""A 2D patch whose sides differ by more than this is rotated little."""


def coarse_axis(patch_size: Shape) -> int | None:
    """Return the axis that rotation and zoom leave as it is: the shortest of an anisotropic 3D patch; None if none.

    nnU-Net takes the axis with the coarsest voxels, which its plans put first and give the fewest voxels. Here axes
    keep their order, so it is the one with the fewest voxels.
    """
    shortest = min(patch_size)
    is_anisotropic = len(patch_size) == 3 and max(patch_size) > ANISOTROPIC_3D * shortest
    return patch_size.index(shortest) if is_anisotropic else None


def largest_angle(patch_size: Shape) -> float:
    """Return nnU-Net's largest angle for a patch, in degrees.

    It is 30 about each axis in 3D, 180 in the plane of an anisotropic 3D patch, and 180 in 2D, or 15 if the sides of
    the 2D patch are too different.
    """
    if len(patch_size) == 3:
        return 30.0 if coarse_axis(patch_size) is None else 180.0
    return 15.0 if max(patch_size) > ANISOTROPIC_2D * min(patch_size) else 180.0


def size_to_read(patch_size: Shape, degrees: float, zoom_out: float, margin: float) -> Shape:
    """Return the size to read around a patch so that no rotation or zoom brings in a border; at most ``margin`` more.

    In a product of three rotations by up to t < 90 degrees, no off-diagonal entry exceeds sin t + sin² t; in the one
    rotation of a plane it is sin t. The excess is even along each axis, so that source and patch have the same center.
    """
    coarse = coarse_axis(patch_size)
    turned = [n for axis, n in enumerate(patch_size) if axis != coarse]
    sine = math.sin(math.radians(min(degrees, 90)))
    off_diagonal = min(sine + sine**2, 1) if len(turned) == 3 else sine
    wanted = [(n + off_diagonal * (sum(turned) - n)) * max(zoom_out, 1) for n in patch_size]
    return tuple(
        n if axis == coarse else n + 2 * math.ceil(min(w - n, n * margin) / 2)
        for axis, (n, w) in enumerate(zip(patch_size, wanted, strict=True))
    )
