"""Parsing of requested metrics, options and regions, under a tool's conventions."""

from collections.abc import Mapping, Sequence

from semiseg.errors import ArgumentError, Problem, raise_all
from semiseg.interfaces.metric import Metric
from semiseg.registry import create
from semiseg.scoring.presets import Preset

DEFAULT_METRICS = ("dice", "hd95")
Metrics = Mapping[str, str | type[Metric] | Metric] | Sequence[str]
"""Installed metrics, each as NAME or NAME:OPTION=VALUE,…; or a mapping: title → name, class or object."""


def choose_metrics(metrics: Metrics | None, preset: Preset | None) -> dict[str, Metric]:
    """Return the metrics by title; if None, the preset's first two, or Dice and HD95.

    Raises ArgumentError for a metric that the preset's tool lacks, or one requested twice, and ComponentError for one
    that is not installed or has invalid options.
    """
    if metrics is None:
        metrics = DEFAULT_METRICS if preset is None else list(preset.metrics)[:2]
    if isinstance(metrics, Mapping):
        if preset is not None:
            raise TypeError("a preset has its own definitions: give the names of its metrics, not a mapping")
        return {name: create("metric", metric) for name, metric in metrics.items()}
    problems, chosen = [], dict[str, Metric]()
    for text in metrics:
        name, options = parse_metric(text)
        if preset is not None and name not in preset.metrics:
            problems.append(Problem("metrics", f"the preset has no {name}", f"Known: {', '.join(preset.metrics)}."))
            continue
        metric = create("metric", name, options) if preset is None else preset.metrics[name].create(name, options)
        # A preset's own definition is not part of the title: its hd95 is called hd95.
        title = name if preset is not None and not options else metric.title(name)
        if title in chosen:
            problems.append(Problem("metrics", f"{title} is requested twice"))
        chosen[title] = metric
    raise_all(problems, ArgumentError)
    return chosen


def parse_metric(text: str) -> tuple[str, dict[str, str]]:
    """Parse name and options from ``nsd`` or ``nsd:tolerance=2,kind=area``. Raises ArgumentError if invalid."""
    return parse_named(text, "metrics", "nsd:tolerance=2")


def parse_named(text: str, where: str, example: str) -> tuple[str, dict[str, str]]:
    """Parse name and options from ``NAME`` or ``NAME:OPTION=VALUE,…``. Raises ArgumentError, with an example."""
    name, _, rest = text.partition(":")
    pairs = [part.partition("=") for part in rest.split(",")] if rest else []
    wrong = ["=".join(filter(None, pair)) for pair in pairs if not (pair[0].strip() and pair[1])]
    if wrong or not name.strip():
        what = f"{text!r} is not NAME or NAME:OPTION=VALUE,…"
        raise ArgumentError(Problem(where, what, f"Example: {example}."))
    return name.strip(), {key.strip(): value.strip() for key, _, value in pairs}


def parse_regions(text: str) -> dict[str, tuple[str, ...]]:
    """Parse region → classes from ``whole=necrosis+edema+enhancing,core=necrosis+enhancing``.

    Raises ArgumentError with all syntax errors; whether the classes exist is not checked.
    """
    regions: dict[str, tuple[str, ...]] = {}
    problems = []
    for part in text.split(","):
        name, equals, members = (piece.strip() for piece in part.partition("="))
        classes = tuple(member.strip() for member in members.split("+"))
        if not (equals and name and all(classes)):
            problems.append(
                Problem("regions", f"{part.strip()!r} is not NAME=CLASS+CLASS", "Example: core=necrosis+enhancing.")
            )
        elif name in regions:
            problems.append(Problem("regions", f"{name} is named twice"))
        regions[name] = classes
    raise_all(problems, ArgumentError)
    return regions
