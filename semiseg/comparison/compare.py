"""Comparison of methods on the same cases."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from semiseg.comparison.chance import are_untrained, best_dice, nothing_learned
from semiseg.comparison.checks import common_metrics, require_comparable
from semiseg.comparison.methods import Method, read_methods
from semiseg.comparison.metric import compare_metric
from semiseg.comparison.notes import describe, notes_on
from semiseg.comparison.read import ScoredRun
from semiseg.comparison.result import Comparison, MethodRuns, MetricComparison
from semiseg.errors import ArgumentError, ComponentError
from semiseg.registry import load
from semiseg.scoring.policy import find_policy
from semiseg.statistics.bootstrap import RESAMPLES

_STATISTICS = (
    "n: cases, which are the units of every test; in parentheses the values left out as undefined. Seeds are pooled "
    "within cases: a case's value is its mean over the method's seeds; ± is the standard deviation of the seeds' "
    f"means. Difference: from the baseline, with its 95 % interval over {RESAMPLES:,} bootstrap samples, each of cases "
    "(the same for all methods) and within it of seeds (the same for methods with the same seeds). p: Wilcoxon's "
    "signed-rank test of the cases, for the networks as they were trained; two-sided, zeros as in Pratt, with Holm's "
    "correction over all tests of the metric's table. better, worse: p below 0.05; mixed: below, but the mean and the "
    "ranks point to different sides. first in: share of the samples that a method leads; the ranks' intervals are over "
    "these samples too."
)


def compare(
    runs: Sequence[Path | str] | Mapping[str, Sequence[Path | str]],
    *,
    baseline: str | None = None,
    checkpoint: str | None = None,
    metrics: Sequence[str] | None = None,
    policy: str = "image_diagonal",
    output: Path | str | None = None,
) -> Comparison:
    """Compare methods on the same cases: paired differences, their tests, and the stability of the ranks.

    Args:
        runs: run folders, output folders of ``evaluate`` or scores.csv files; ``NAME=PATH`` names the method. Runs
            whose recipes differ only in the seed or in ``split.fold`` belong to one method, and so do folds with test
            cases of their own, which differ in the split and have no test case in common. Or a mapping from names to
            paths.
        baseline: the method that the others are compared with; the first if None.
        checkpoint: last or best; if None last, or the only one available.
        metrics: metrics to compare; if None all that every run has.
        policy: the value of empty masks in means (see ``POLICIES``).
        output: a folder for compare.json and compare.csv.

    Seeds are pooled within cases: a case's value is its mean over a method's seeds, and the bootstrap draws cases,
    and seeds within each sample. See ``compare_metric``, ``resampled_means``, ``signed_rank``, ``holm`` and
    ``rank_stability``.

    Raises DataError, with all problems at once, if a table cannot be read, or if cases, classes, references, units or
    definitions of metrics differ. Different numbers or sets of labeled cases are reported in ``notes``.
    """
    value = find_policy(policy)
    methods = read_methods(runs, checkpoint)
    names = [method.name for method in methods]
    baseline = names[0] if baseline is None else baseline
    if baseline not in names:
        raise ArgumentError(f"No method is called {baseline!r}.", f"There are {', '.join(names)}.")
    tables = [table for method in methods for table in method.tables]
    every = [run for method in methods for run in method.runs]
    chosen = common_metrics(every, metrics)
    require_comparable(tables, chosen, every)
    untrained = list(_untrained(methods))
    notes = [*untrained, *notes_on(methods, chosen)]
    found = []
    for metric in chosen:
        higher, doubt = metric_direction(metric, tables[0])
        compared = compare_metric(metric, methods, baseline, value, higher_is_better=higher)
        notes += [*doubt, *_thin(compared)]
        found.append(_without_verdicts(compared) if untrained else compared)
    result = Comparison(
        tuple(_runs(method) for method in methods), baseline, policy, tuple(notes), tuple(found), _STATISTICS
    )
    if output is not None:
        result.write(Path(output))
    return result


def metric_direction(metric: str, run: ScoredRun) -> tuple[bool, list[str]]:
    """Return whether higher is better: no for lengths, else as the installed metric declares; and a note if unknown."""
    if any(score.is_distance for key, score in run.scores.items() if key[0] == metric):
        return False, []
    name = metric.partition(" ")[0]  # options follow the name
    try:
        return bool(load("metric", name).higher_is_better), []  # type: ignore[attr-defined]
    except ComponentError:
        return True, [f"No installed metric is called {name!r}: higher is assumed to be better."]


def _without_verdicts(compared: MetricComparison) -> MetricComparison:
    rows = (replace(row, entries=tuple(replace(entry, verdict="") for entry in row.entries)) for row in compared.rows)
    return replace(compared, rows=tuple(rows))


def _untrained(methods: Sequence[Method]) -> Iterator[str]:
    """Yield a note if no method has learned to segment."""
    best = {method.name: best_dice(method.runs) for method in methods}
    known = {name: dice for name, dice in best.items() if dice is not None}
    if all(are_untrained(method.runs) for method in methods):
        name = max(known, key=lambda each: known[each])
        yield nothing_learned(f"the best, {name},", known[name])


def _thin(compared: MetricComparison) -> Iterator[str]:
    """Yield notes if a table's figures rest on few or selected cases."""
    one_sided = {row.name: row.one_sided for row in compared.rows if row.one_sided and row.kind != "mean"}
    if one_sided:
        counted = ", ".join(f"{name} {count}" for name, count in one_sided.items())
        yield (
            f"{compared.metric} is undefined in some cases for some runs only, and these cases are left out for all: "
            f"{counted}. This favors methods that predict structures where there are none."
        )
    few = [row.name for row in compared.rows if row.n < 6]
    if few:
        yield f"{compared.metric}: with fewer than 6 cases, no p can be below 0.05: {', '.join(few)}."


def _runs(method: Method) -> MethodRuns:
    paths = tuple(str(run.path) for run in method.runs)
    return MethodRuns(method.name, paths, tuple(run.seed for run in method.runs), describe(method))
