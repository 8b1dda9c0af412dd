"""Checks that compared tables agree in cases, classes, references and metric definitions."""

from collections.abc import Iterable, Sequence

from semiseg.comparison.read import Key, ScoredRun
from semiseg.errors import ArgumentError, DataError, Problem, raise_all

_SHOWN = 5
_SAME_CASES = (
    "Score the same cases for every method. To join folds, which divide the cases among them, give them one name: "
    "NAME=PATH NAME=PATH."
)


def common_metrics(runs: Sequence[ScoredRun], wanted: Sequence[str] | None) -> tuple[str, ...]:
    """Return the requested metrics, or those that every run has. Raises DataError if a run lacks one, or all."""
    everywhere = [metric for metric in runs[0].metrics if all(metric in run.metrics for run in runs)]
    if not wanted:
        if everywhere:
            return tuple(everywhere)
        raise DataError([Problem("", "No metric is in every table.")] + [_has(run) for run in runs])
    problems = [
        Problem(str(run.path), f"has no metric {metric!r}; it has {', '.join(run.metrics)}")
        for metric in dict.fromkeys(wanted)
        for run in runs
        if metric not in run.metrics
    ]
    nowhere = any(all(metric not in run.metrics for run in runs) for metric in wanted)
    raise_all(problems, ArgumentError if nowhere else DataError)
    return tuple(dict.fromkeys(wanted))


def _has(run: ScoredRun) -> Problem:
    return Problem(str(run.path), f"has {', '.join(run.metrics)}")


def require_comparable(
    runs: Sequence[ScoredRun], metrics: Sequence[str], parts: Sequence[ScoredRun] | None = None
) -> None:
    """Raise DataError, with all differences, unless every run scored the same cases and classes, against the same
    references, with the same definitions of the metrics.

    ``parts`` are the single folds, if some of the runs combine several: all need the same metric definitions.

    References are compared by digest, metrics by definition. If a table has none, the reference's number of voxels and
    the metric's version in summary.json are used instead; the unit is always checked.
    """
    rows = [{key for key in run.scores if key[0] in metrics} for run in runs]
    problems = [*_cases(runs, rows), *_classes(runs, rows)]
    first = runs[0]
    for run in runs[1:]:
        problems += _references(first, run, metrics)
    one, *others = parts or runs
    for run in others:
        problems += _meanings(one, run, metrics)
    raise_all(problems, DataError)


def _cases(runs: Sequence[ScoredRun], rows: Sequence[set[Key]]) -> list[Problem]:
    everywhere = {case for keys in rows for _, _, case in keys}
    problems = []
    for run, keys in zip(runs, rows, strict=True):
        missing = everywhere - {case for _, _, case in keys}
        if missing:
            what = f"lacks {len(missing)} of {len(everywhere)} test cases that others have: {_some(missing)}"
            problems.append(Problem(str(run.path), what, _SAME_CASES))
    return problems


def _classes(runs: Sequence[ScoredRun], rows: Sequence[set[Key]]) -> list[Problem]:
    """Return problems: classes that a run lacks, classes of a different kind, and missing single rows."""
    everywhere = sorted({(metric, name) for keys in rows for metric, name, _ in keys})
    kinds = {(key[0], key[1]): score.kind for run in reversed(runs) for key, score in run.scores.items()}
    problems = []
    for run, keys in zip(runs, rows, strict=True):
        classes = {(metric, name) for metric, name, _ in keys}
        problems += [
            Problem(str(run.path), f"lacks {metric} of {name!r}, which others have", "Score the same classes.")
            for metric, name in everywhere
            if (metric, name) not in classes
        ]
        cases = {case for _, _, case in keys}
        expected = {(metric, name, case) for metric, name in classes for case in cases}
        for metric, name, case in sorted(expected - keys)[:_SHOWN]:
            problems.append(Problem(str(run.path), f"lacks the row: {metric} of {name!r} of case {case}"))
        other = {(key[0], key[1], run.scores[key].kind) for key in keys if run.scores[key].kind != kinds[key[:2]]}
        for metric, name, kind in sorted(other):
            what = f"{name!r} ({metric}) is a {kind} here, a {kinds[metric, name]} in {runs[0].path}"
            problems.append(
                Problem(str(run.path), what, "The column 'kind' determines this; a table without it has only classes.")
            )
    return problems


def _references(first: ScoredRun, run: ScoredRun, metrics: Sequence[str]) -> list[Problem]:
    differing = dict.fromkeys(
        case
        for (metric, name, case), score in run.scores.items()
        if metric in metrics
        and (other := first.scores.get((metric, name, case))) is not None
        and (
            score.reference_digest != other.reference_digest
            if score.reference_digest and other.reference_digest
            else score.n_reference != other.n_reference
        )
    )
    if not differing:
        return []
    what = f"{len(differing)} cases have different references than in {first.path}: {_some(differing)}"
    return [Problem(str(run.path), what, "Score all predictions against the same label files.")]


def _meanings(first: ScoredRun, run: ScoredRun, metrics: Sequence[str]) -> list[Problem]:
    problems = []
    for metric in metrics:
        ours, theirs = (sorted(_said(one, metric, "unit")) for one in (run, first))
        if ours != theirs:
            what = f"{metric} is in {', '.join(ours)}, but in {', '.join(theirs)} in {first.path}"
            problems.append(Problem(str(run.path), what, "Score all in one unit."))
        ours, theirs = _definitions(run, first, metric)
        if ours and theirs and ours != theirs:
            what = f"{metric} is {'; '.join(ours)}, but {'; '.join(theirs)} in {first.path}"
            problems.append(Problem(str(run.path), what, "Score all with the same version and options."))
    return problems


def _definitions(first: ScoredRun, second: ScoredRun, metric: str) -> tuple[list[str], list[str]]:
    """Return two runs' definitions of a metric, or its versions if one run has no definition; empty if unknown."""
    said = [sorted(_said(run, metric, "definition") - {""}) for run in (first, second)]
    if all(said):
        return said[0], said[1]
    versions = [run.summary.get("metric_versions", {}).get(metric) for run in (first, second)]
    texts = [[] if version is None else [f"version {version}"] for version in versions]
    return texts[0], texts[1]


def _said(run: ScoredRun, metric: str, field: str) -> set[str]:
    return {getattr(score, field) for key, score in run.scores.items() if key[0] == metric}


def _some(names: Iterable[str]) -> str:
    ordered = sorted(names)
    return ", ".join(ordered[:_SHOWN]) + ("…" if len(ordered) > _SHOWN else "")
