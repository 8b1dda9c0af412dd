"""Measures of the training cases that a plan is made from, cached by the content of their files."""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.data.digests import Digests, digest_text, digest_volume
from semiseg.data.fingerprint import describe_reader
from semiseg.data.verify import check_image, check_label, problems_of
from semiseg.errors import DataError, StorageError, raise_all
from semiseg.interfaces.dataset import Dataset
from semiseg.io.atomic import write_json
from semiseg.io.formats.contents import modality_hint
from semiseg.io.orientation import grid_in_ras, to_ras
from semiseg.preprocessing.prepare import nonzero_box
from semiseg.threads import in_threads
from semiseg.types import IGNORED, Case, Shape

FORMAT = 1
"""Increase this whenever the same files give other measures."""
QUANTILES = 2000
"""Number of quantiles that describe the intensities of one case, so that each case counts alike."""
_AIR = (-1100.0, -850.0)
"""Hounsfield values of air and lung."""
_MUCH_AIR = 0.01
_BONE = 150.0


@dataclass(frozen=True, slots=True)
class ChannelMeasures:
    """One modality of a case. ``is_ct``: its file says so or, if that says nothing, its values look like those of CT.

    ``count``, ``mean``, ``deviation`` and ``quantiles`` (the middles of ``QUANTILES`` equal shares) are of the voxels
    of foreground classes; count is 0 for a case without a label.
    """

    is_ct: bool
    count: int = 0
    mean: float = 0.0
    deviation: float = 0.0
    quantiles: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class CaseMeasures:
    """A case: voxel size in mm (None if its file stores none), shape, and shape of the box around its nonzero voxels.

    All along R, A and S. ``zeros`` is the share of voxels that are 0 in every modality; ``unit`` that of its grid.
    """

    case_id: str
    spacing: tuple[float, float, float] | None
    shape: Shape
    box: Shape
    zeros: float
    unit: str
    channels: tuple[ChannelMeasures, ...]


def measure_cases(
    dataset: Dataset, cases: Sequence[Case], root: Path, progress: Callable[[], object] | None = None
) -> list[CaseMeasures]:
    """Measure cases, with their labels where the ``Case`` has one; results are kept in ``root``/measures.

    Raises DataError with every problem of every file.
    """
    cache = _Cache(root, dataset)
    found: dict[str, CaseMeasures] = {}

    def one(case: Case) -> None:
        found[case.id] = cache.of(case, lambda: _measure(dataset, case))

    problems = in_threads(lambda case: problems_of(case, lambda: one(case)), cases, None, progress)
    raise_all([problem for some in problems for problem in some], DataError)
    return [found[case.id] for case in cases]


def _measure(dataset: Dataset, case: Case) -> CaseMeasures:
    volume = dataset.read_image(case)
    check_image(dataset, volume)
    array, _ = to_ras(volume.array, volume.geometry)
    grid = grid_in_ras(volume.geometry)
    box = nonzero_box(array) or tuple((0, n) for n in grid.shape)
    foreground: NDArray[np.bool_] | None = None
    if case.label is not None:
        label = dataset.read_label(case)
        check_label(dataset, case, label, volume.geometry)
        turned, _ = to_ras(label.array, label.geometry)
        foreground = (turned != 0) & (turned != IGNORED)
    return CaseMeasures(
        case.id,
        grid.spacing if grid.unit == "mm" else None,
        grid.shape,
        tuple(stop - start for start, stop in box),
        1.0 - float(np.mean(array.any(axis=0))),
        grid.unit,
        tuple(
            _measure_channel(channel, is_ct, foreground)
            for channel, is_ct in zip(array, which_are_ct(array, case), strict=True)
        ),
    )


def which_are_ct(image: NDArray[Any], case: Case) -> list[bool]:
    """Return for each channel of a case's image (C, x, y, z) whether it is CT: by its file's header, or its values."""
    hints = [modality_hint(path) for path in case.images]
    if len(hints) != len(image):  # one file has all channels
        hints = [hints[0] if len(image) == 1 and hints else ""] * len(image)
    return [hint == "CT" if hint else looks_like_ct(channel) for channel, hint in zip(image, hints, strict=True)]


def _measure_channel(channel: NDArray[Any], is_ct: bool, foreground: NDArray[np.bool_] | None) -> ChannelMeasures:
    values = channel[foreground].astype(np.float64) if foreground is not None else np.zeros(0)
    if not values.size:
        return ChannelMeasures(is_ct)
    shares = (np.arange(QUANTILES) + 0.5) / QUANTILES
    quantiles = tuple(map(float, np.quantile(values, shares)))
    return ChannelMeasures(is_ct, int(values.size), float(values.mean()), float(values.std()), quantiles)


def looks_like_ct(channel: NDArray[Any]) -> bool:
    """Return whether values are likely Hounsfield units: at least 1 % of them air, and some as dense as bone."""
    if float(channel.min(initial=0)) > _AIR[1] or float(channel.max(initial=0)) < _BONE:
        return False
    return float(np.mean((channel >= _AIR[0]) & (channel <= _AIR[1]))) >= _MUCH_AIR


class _Cache:
    """Measures as JSON, by the digest of a case's files and of their reader."""

    def __init__(self, root: Path, dataset: Dataset) -> None:
        self._folder, self._dataset = root / "measures", dataset
        self._digests = Digests(root / "digests")
        self._reader = describe_reader(dataset, self._digests)

    def of(self, case: Case, work: Callable[[], CaseMeasures]) -> CaseMeasures:
        path = self._path(case)
        with suppress(OSError, ValueError, KeyError, TypeError):  # absent, damaged, or of another form
            return _restored(case.id, json.loads(path.read_text(encoding="utf-8")))
        found = work()
        with suppress(OSError, StorageError):  # a cache that cannot be written costs time alone
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, asdict(found))
        return found

    def _path(self, case: Case) -> Path:
        contents = [self._digests.of(path) for path in case.images]
        if not contents:
            contents = ["voxels", digest_volume(self._dataset.read_image(case))]
        info = self._dataset.info()
        label = [] if case.label is None else [self._label(case), sorted(info.label_map.items()), info.ignore]
        key = digest_text(json.dumps([FORMAT, contents, label, self._reader], sort_keys=True, default=str))
        return self._folder / key[:2] / f"{key}.json"

    def _label(self, case: Case) -> str:
        assert case.label is not None
        return self._digests.of(case.label) if case.images else digest_volume(self._dataset.read_label(case))


def _restored(case_id: str, values: dict[str, Any]) -> CaseMeasures:
    spacing = values["spacing"]
    channels = tuple(ChannelMeasures(**{**c, "quantiles": tuple(c["quantiles"])}) for c in values["channels"])
    return CaseMeasures(
        case_id,
        None if spacing is None else (spacing[0], spacing[1], spacing[2]),
        tuple(values["shape"]),
        tuple(values["box"]),
        values["zeros"],
        values["unit"],
        channels,
    )
