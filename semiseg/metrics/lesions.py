"""Lesion-wise metrics: each lesion of the reference counts alike, whatever its size, and so does one made up."""

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
        pairs: each lesion of the reference, with the predicted components that touch it, if any.
        spurious: how many predicted components touch no lesion.
    """

    pairs: tuple[MaskPair, ...]
    spurious: int


class _LesionOptions(ComponentOptions):
    """What is one lesion, and which count."""

    dilation: Annotated[int, Field(ge=1)] = 3
    """Voxels by which the reference is grown: parts that touch then are one lesion, and predictions in it match it."""
    minimum_volume: Annotated[float, Field(ge=0)] = 0.0
    """Lesions of the reference up to this volume (mm³, or voxels where no spacing is known) do not count."""


class _LesionWise(Metric):
    """The mean of a metric over the lesions that count and the predicted components that match none."""

    Options = _LesionOptions

    def __call__(self, pair: MaskPair) -> float:
        """The value; where no lesion counts and nothing is made up, that of two empty masks."""
        return self.value(pair) if pair.status == "missed" and self.options.minimum_volume else super().__call__(pair)

    def value(self, pair: MaskPair) -> float:
        """The mean over counted lesions and spurious components."""
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
    """Lesion-wise Dice: the mean of the lesions' Dice, where one that is missed or made up counts 0.

    The reference is grown by ``dilation`` voxels (18 neighbors each time); what is connected then (26 neighbors) is
    one lesion, of the reference's own voxels. Its prediction is all predicted components (26 neighbors) that touch the
    grown lesion. Components that touch none are made up. From 0 to 1, without unit. A missed structure counts 0, a
    spurious one too; where both masks are empty the value is not defined (nan), nor where no lesion is large enough to
    count and none is made up.

    Source: the BraTS 2023 challenge, github.com/rachitsaluja/BraTS-2023-Metrics (LesionWise_Score_Dice). Its glioma
    task has ``dilation=3`` and ``minimum_volume=50``, metastases 1 and 2, meningioma 1 and 50.
    """

    def _penalty(self, pair: MaskPair) -> float:
        return 0.0

    def _of_lesion(self, pair: MaskPair) -> float:
        return _DICE.value(pair)


class LesionHD95(_LesionWise):
    """Lesion-wise HD95: the mean of the lesions' 95 % Hausdorff distances, with a penalty for those missed or made up.

    Lesions are those of ``lesion_dice``, distances ``hd95:kind=area``. In the image's unit: mm, or voxels where no
    spacing is known. The penalty is ``penalty``, or the image's diagonal, the largest distance there can be in it. A
    missed or a spurious structure as a whole is infinitely far, which the policy for means replaces or leaves out, and
    counts; where both masks are empty the value is not defined (nan).

    Source: the BraTS 2023 challenge, github.com/rachitsaluja/BraTS-2023-Metrics (LesionWise_Score_HD95), whose penalty
    is 374 mm.
    """

    distance: ClassVar[bool] = True
    higher_is_better: ClassVar[bool] = False
    missed: float = math.inf
    spurious: float = math.inf

    class Options(_LesionOptions):
        """What is one lesion, which count, and what a missed one does."""

        penalty: Annotated[float, Field(ge=0)] | None = None
        """Distance that a missed or made up lesion counts; the image's diagonal where absent."""

    def _penalty(self, pair: MaskPair) -> float:
        penalty: float | None = self.options.penalty
        return pair.image_diagonal if penalty is None else penalty

    def _of_lesion(self, pair: MaskPair) -> float:
        return _HD95.value(pair)


@lru_cache(maxsize=16)
def lesions_of(dilation: int) -> Callable[[MaskPair], Lesions]:
    """What finds the lesions of a pair, one function for each dilation, so that both metrics share its result."""
    return partial(_find, dilation=dilation)


def _find(pair: MaskPair, dilation: int) -> Lesions:
    """The lesions of a pair; cut to the box that holds both masks they are the same as in the whole image."""
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
