"""Lesion-wise metrics: every reference lesion counts equally, whatever its size, as does every spurious one."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from semiseg.interfaces.component import ComponentOptions
from semiseg.interfaces.metric import MaskPair, Metric
from semiseg.metrics.distances import HD95
from semiseg.metrics.overlap import Dice

_HD95 = HD95(HD95.Options(kind="area"))
_DICE = Dice()


@dataclass(frozen=True, slots=True, eq=False)
class Lesions:
    """The lesions of a pair of masks.

    Attributes:
        pairs: each reference lesion with the predicted components that touch it, if any.
        spurious: number of predicted components that touch no lesion.
    """

    pairs: tuple[MaskPair, ...]
    spurious: int


class _LesionOptions(ComponentOptions):
    """The definition of a lesion, and which lesions count."""

    dilation: Annotated[int, Field(ge=1)] = 3
    """Dilation of the reference in voxels: parts that then touch are one lesion; predictions that touch it match."""
    minimum_volume: Annotated[float, Field(ge=0)] = 0.0
    """Reference lesions up to this volume (mm³, or voxels if the spacing is unknown) do not count."""


class _LesionWise(Metric):
    """The mean of a metric over the lesions that count and the predicted components that match none."""

    Options = _LesionOptions

    def __call__(self, pair: MaskPair) -> float:
        """Return the value; if no lesion counts and none is spurious, that of two empty masks."""
        return self.value(pair) if pair.status == "missed" and self.options.minimum_volume else super().__call__(pair)

    def value(self, pair: MaskPair) -> float:
        """Return the mean over counted lesions and spurious components."""
        lesions = pair.shared(lesions_of(self.options.dilation))
        voxel = math.prod(pair.spacing)
        counted = [one for one in lesions.pairs if one.n_reference * voxel > self.options.minimum_volume]
        if not counted and not lesions.spurious:
            return self.both_empty
        penalty = self._penalty(pair)
        values = [self._of_lesion(one) if one.n_prediction else penalty for one in counted]
        return float(np.mean([*values, *[penalty] * lesions.spurious]))

    def _penalty(self, pair: MaskPair) -> float:
        raise NotImplementedError

    def _of_lesion(self, pair: MaskPair) -> float:
        raise NotImplementedError


class LesionDice(_LesionWise):
    """Lesion-wise Dice: the mean Dice over lesions; missed and spurious lesions count 0.

    The reference is dilated by ``dilation`` voxels (18 neighbors each time); what is then connected (26 neighbors) is
    one lesion, with the reference's own voxels. Its prediction consists of all predicted components (26 neighbors) that
    touch the dilated lesion. Components that touch none are spurious. From 0 to 1, without unit. A missed structure
    counts 0, as does a spurious one. The value is undefined (nan) if both masks are empty, or if no lesion is large
    enough to count and none is spurious.

    Source: the BraTS 2023 challenge, github.com/rachitsaluja/BraTS-2023-Metrics (LesionWise_Score_Dice). Its glioma
    task uses ``dilation=3`` and ``minimum_volume=50``, metastases 1 and 2, meningioma 1 and 50.
    """

    def _penalty(self, pair: MaskPair) -> float:
        return 0.0

    def _of_lesion(self, pair: MaskPair) -> float:
        return _DICE.value(pair)


class LesionHD95(_LesionWise):
    """Lesion-wise HD95: the mean 95 % Hausdorff distance over lesions, with a penalty for missed and spurious ones.

    Lesions are those of ``lesion_dice``, distances ``hd95:kind=area``. The unit is the image's: mm, or voxels if the
    spacing is unknown. The penalty is ``penalty``, or the image's diagonal, the largest possible distance in it. A
    missed or a spurious structure as a whole is infinitely far, which the policy for means replaces or leaves out, and
    counts. If both masks are empty, the value is undefined (nan).

    Source: the BraTS 2023 challenge, github.com/rachitsaluja/BraTS-2023-Metrics (LesionWise_Score_HD95), whose penalty
    is 374 mm.
    """

    distance: ClassVar[bool] = True
    higher_is_better: ClassVar[bool] = False
    missed: float = math.inf
    spurious: float = math.inf

    class Options(_LesionOptions):
        """The definition of a lesion, which lesions count, and the penalty for missed ones."""

        penalty: Annotated[float, Field(ge=0)] | None = None
        """Distance counted for a missed or spurious lesion; by default the image's diagonal."""

    def _penalty(self, pair: MaskPair) -> float:
        penalty: float | None = self.options.penalty
        return pair.image_diagonal if penalty is None else penalty

    def _of_lesion(self, pair: MaskPair) -> float:
        return _HD95.value(pair)


@lru_cache(maxsize=16)
def lesions_of(dilation: int) -> Callable[[MaskPair], Lesions]:
    """Return the function that finds lesions, one object per dilation, so that both metrics share its result."""
    return partial(_find, dilation=dilation)


def _find(pair: MaskPair, dilation: int) -> Lesions:
    """Find the lesions of a pair; the box that holds both masks gives the same ones as the whole image."""
    from scipy.ndimage import binary_dilation, find_objects, generate_binary_structure, label

    neighbors = generate_binary_structure(3, 3)
    regions, _ = label(binary_dilation(pair.reference, generate_binary_structure(3, 2), dilation), neighbors)
    components, n_components = label(pair.prediction, neighbors)
    inside = (regions > 0) & (components > 0)
    touching = np.unique(np.stack([regions[inside], components[inside]]), axis=1)
    boxes = find_objects(components)
    pairs = []
    for lesion, region in enumerate(find_objects(regions), 1):
        matched = touching[1, touching[0] == lesion]
        box = _around([region, *(boxes[component - 1] for component in matched)])
        reference = (regions[box] == lesion) & pair.reference[box]
        prediction = np.isin(components[box], matched)
        pairs.append(MaskPair(reference, prediction, pair.spacing, pair.unit, pair.image_shape))
    return Lesions(tuple(pairs), n_components - len(np.unique(touching[1])))


def _around(boxes: Sequence[tuple[slice, ...]]) -> tuple[slice, ...]:
    return tuple(slice(min(s.start for s in axis), max(s.stop for s in axis)) for axis in zip(*boxes, strict=True))
