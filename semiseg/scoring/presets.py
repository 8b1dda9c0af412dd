"""Other tools' exact conventions: metric definitions and values for empty masks."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from semiseg.errors import ArgumentError
from semiseg.interfaces.metric import Metric
from semiseg.registry import create

nan, inf = math.nan, math.inf
Regions = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Convention:
    """A metric as defined by a tool: values for a missed structure, a spurious one, and both masks empty."""

    missed: float
    spurious: float
    both_empty: float
    options: Mapping[str, Any] = field(default_factory=dict)

    def create(self, name: str, options: Mapping[str, Any] | None = None) -> Metric:
        """Create the installed metric of this name with the tool's definition and values, and further options."""
        metric: Metric = create("metric", name, {**(options or {}), **self.options})
        metric.missed, metric.spurious, metric.both_empty = self.missed, self.spurious, self.both_empty
        return metric


@dataclass(frozen=True, slots=True)
class Preset:
    """A tool's conventions, by metric; the first two metrics are the default.

    ``labels`` and ``regions`` are those that the tool fixes, if any.
    """

    source: str
    policy: str
    metrics: Mapping[str, Convention]
    labels: Mapping[int, str] | None = None
    regions: Regions = field(default_factory=dict)


_GLIOMA = {"dilation": 3, "minimum_volume": 50.0}

PRESETS: Mapping[str, Preset] = {
    "monai": Preset(
        "MONAI 1.6, monai.metrics, include_background=True, with one channel per class; means leave nan out",
        policy="exclude",
        metrics={
            "dice": Convention(0.0, nan, nan),
            "hd95": Convention(nan, nan, nan),
            "jaccard": Convention(0.0, nan, nan),
            "hd": Convention(inf, inf, nan),
            "assd": Convention(inf, inf, nan),
            "nsd": Convention(0.0, 0.0, nan),
            "sensitivity": Convention(0.0, nan, nan),
            "precision": Convention(nan, 0.0, nan),
        },
    ),
    "medpy": Preset(
        "MedPy 0.5, medpy.metric.binary; nan also stands for its RuntimeError if a mask is empty",
        policy="exclude",
        metrics={
            "dice": Convention(0.0, 0.0, nan),
            "hd95": Convention(nan, nan, nan, {"kind": "pooled"}),
            "jaccard": Convention(0.0, 0.0, 1.0),
            "hd": Convention(nan, nan, nan),
            "assd": Convention(nan, nan, nan),
            "sensitivity": Convention(0.0, nan, nan),
            "precision": Convention(nan, 0.0, nan),
            "volume_difference": Convention(1.0, nan, nan),
        },
    ),
    "brats2023": Preset(
        "BraTS 2023 evaluation by region (github.com/rachitsaluja/BraTS-2023-Metrics): of whole images (Legacy_Dice, "
        "Legacy_HD95, Sensitivity), and as lesion_dice and lesion_hd95 lesion-wise, with the glioma task's parameters",
        policy="exclude",
        metrics={
            "dice": Convention(0.0, 0.0, 1.0),
            "hd95": Convention(374.0, 374.0, 0.0, {"kind": "area"}),
            "sensitivity": Convention(0.0, 0.0, 1.0),
            "lesion_dice": Convention(0.0, 0.0, 1.0, _GLIOMA),
            "lesion_hd95": Convention(374.0, 374.0, 0.0, {**_GLIOMA, "penalty": 374.0}),
        },
        labels={1: "necrosis", 2: "edema", 3: "enhancing"},
        regions={
            "whole tumor": ("necrosis", "edema", "enhancing"),
            "tumor core": ("necrosis", "enhancing"),
            "enhancing tumor": ("enhancing",),
        },
    ),
}


def find_preset(name: str) -> Preset:
    """Return the preset of this name. Raises ArgumentError, with the known names, if there is none."""
    if name not in PRESETS:
        raise ArgumentError(f"Unknown preset {name!r}.", f"Known: {', '.join(PRESETS)}.")
    return PRESETS[name]
