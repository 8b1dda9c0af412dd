"""summary.json: means with their spread, interval and counts, under a named policy for missing values."""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from semiseg.errors import DataError, Problem, raise_all
from semiseg.interfaces.metric import Status
from semiseg.scoring.ignored import count_ignored
from semiseg.scoring.masks.label_pair import Kind
from semiseg.scoring.policy import find_policy
from semiseg.scoring.score_case import Score
from semiseg.statistics.bootstrap import RESAMPLES, SEED, case_samples, has_spread, interval_of, mean_of_means

WORST = 5


def summarize(
    scores: Iterable[Score], policy: str = "image_diagonal", *, lower_is_better: Collection[str] = ()
) -> dict[str, Any]:
    """Summarize one run's scores, ready for JSON: a value that does not exist is None, never nan or infinity.

    ``policy`` names the value of empty masks (``semiseg.scoring.policy.POLICIES``). Distances are better if lower;
    ``lower_is_better`` names other such metrics. The layout:

    - ``policy``, and ``bootstrap`` with resamples, seed and level of the intervals;
    - ``checkpoints`` → checkpoint → metric → ``definition``, ``unit``, ``classes``, ``foreground``, ``worst``, and, if
      there are regions, ``regions`` and ``all_regions``, structured like classes and foreground;
    - ``classes`` → class → mean, interval (low and high of the mean, see ``bootstrap_interval``), median, std (of the
      sample, n - 1), q1, q3, over ``n`` values; ``excluded``: values excluded by the policy; the numbers of cases that
      are ok, missed, spurious, both_empty. n + excluded = the number of cases;
    - ``foreground``: mean of the classes' means and its interval, over ``n`` values of ``n_classes`` classes, with the
      numbers of those left out in ``excluded`` and ``excluded_classes``;
    - ``ignored``, only if there are any: the number of ignored ``voxels``, and of ``cases`` with such voxels;
    - ``worst``: the five worst cases by their mean over the classes, worst first.

    Raises ArgumentError for an unknown policy, DataError for several runs, duplicate rows, or a metric with two units.
    """
    scores = list(scores)
    find_policy(policy)
    _require_one_table(scores)
    checkpoints: dict[str, Any] = {}
    for (checkpoint, metric), rows in _grouped(scores).items():
        descending = rows[0].is_distance or metric in lower_is_better
        checkpoints.setdefault(checkpoint, {})[metric] = _metric(rows, policy, descending)
    bootstrap = {"resamples": RESAMPLES, "seed": SEED, "level": 0.95}
    ignored = count_ignored(scores)
    return {
        "policy": policy,
        "bootstrap": bootstrap,
        **({"ignored": ignored} if ignored else {}),
        "checkpoints": checkpoints,
    }


def _require_one_table(scores: Sequence[Score]) -> None:
    problems = []
    runs = sorted({score.run for score in scores})
    if len(runs) > 1:
        problems.append(
            Problem("", f"scores of {len(runs)} runs: {', '.join(map(repr, runs))}", "Summarize each run separately.")
        )
    rows = Counter((s.run, s.checkpoint, s.case, s.class_name, s.metric) for s in scores)
    for (_, checkpoint, case, name, metric), count in rows.items():
        if count > 1:
            where = " ".join(filter(None, (checkpoint, f"case {case}")))
            problems.append(Problem(where, f"{metric} of {name} occurs {count} times"))
    units: dict[str, set[str]] = {}
    for score in scores:
        units.setdefault(score.metric, set()).add(score.unit)
    for metric, found in units.items():
        if len(found) > 1:
            fix = "Their mean has no meaning. Summarize only the cases with a known spacing."
            problems.append(Problem(f"metric {metric}", f"has several units: {', '.join(sorted(found))}", fix))
    raise_all(problems, DataError)


def _grouped(scores: Iterable[Score]) -> dict[tuple[str, str], list[Score]]:
    groups: dict[tuple[str, str], list[Score]] = {}
    for score in scores:
        groups.setdefault((score.checkpoint, score.metric), []).append(score)
    return groups


def _metric(rows: Sequence[Score], policy: str, descending: bool) -> dict[str, Any]:
    cases = list(dict.fromkeys(row.case for row in rows))
    classes, regions = ([row for row in rows if row.kind == kind] for kind in get_args(Kind))
    block: dict[str, Any] = {"definition": rows[0].definition, "unit": rows[0].unit}
    for key, mean, part in (("classes", "foreground", classes), ("regions", "all_regions", regions)):
        if part or key == "classes":
            values, names = _table(part, cases, policy)
            statuses = {name: Counter(row.status for row in part if row.class_name == name) for name in names}
            samples = _samples(values, cases)
            block[key] = {
                name: _statistics(values[:, [i]], samples[:, [i]], statuses[name]) for i, name in enumerate(names)
            }
            block[mean] = _foreground(values, samples, len(part))
    values, _ = _table(classes or regions, cases, policy)
    return {**block, "worst": _worst(cases, values, descending)}


def _table(rows: Sequence[Score], cases: Sequence[str], policy: str) -> tuple[NDArray[np.float64], list[str]]:
    """Return values by case and class under a policy, (cases, classes), and the classes' names."""
    names = list(dict.fromkeys(row.class_name for row in rows))
    places = {case: i for i, case in enumerate(cases)}
    values = np.full((len(cases), len(names)), np.nan)
    for row in rows:
        values[places[row.case], names.index(row.class_name)] = find_policy(policy)(row)
    return values, names


def _statistics(column: NDArray[np.float64], samples: NDArray[np.float64], statuses: Counter[Status]) -> dict[str, Any]:
    there = column[np.isfinite(column)]
    n = len(there)
    q1, median, q3 = np.quantile(there, [0.25, 0.5, 0.75]) if n else (math.nan,) * 3
    return {
        "n": n,
        "excluded": statuses.total() - n,
        **{status: statuses[status] for status in get_args(Status)},
        "mean": _number(there.mean()) if n else None,
        "interval": _interval(column, samples),
        "median": _number(median),
        "std": _number(there.std(ddof=1)) if n > 1 else None,
        "q1": _number(q1),
        "q3": _number(q3),
    }


def _foreground(values: NDArray[np.float64], samples: NDArray[np.float64], n_rows: int) -> dict[str, Any]:
    there = np.isfinite(values)
    n_classes = int(there.any(axis=0).sum())
    return {
        "n": int(there.sum()),
        "excluded": n_rows - int(there.sum()),
        "n_classes": n_classes,
        "excluded_classes": values.shape[1] - n_classes,
        "mean": _number(mean_of_means(values)),
        "interval": _interval(values, samples),
    }


def _worst(cases: Sequence[str], values: NDArray[np.float64], descending: bool) -> list[dict[str, Any]]:
    means = [_number(mean_of_means(row[:, None])) for row in values]
    ranked = [(mean, case) for mean, case in zip(means, cases, strict=True) if mean is not None]
    ranked.sort(key=lambda pair: -pair[0] if descending else pair[0])
    return [{"case": case, "value": mean} for mean, case in ranked[:WORST]]


def _samples(values: NDArray[np.float64], cases: Sequence[str]) -> NDArray[np.float64]:
    """Return bootstrap samples of the classes' means, cases ordered by id as in comparisons, for the same draws."""
    order = sorted(range(len(cases)), key=lambda row: cases[row])
    return case_samples(values[order]) if has_spread(values) else np.empty((0, values.shape[1]))


def _interval(values: NDArray[np.float64], samples: NDArray[np.float64]) -> list[float] | None:
    return list(interval_of(samples)) if has_spread(values) else None


def _number(value: Any) -> float | None:
    return float(value) if math.isfinite(value) else None
