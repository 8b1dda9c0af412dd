"""Cells of a study's tables, and the notes below them that explain how the numbers were computed.

A cell that may show several numbers has them as ``parts``, which become separate columns of a CSV file.
"""

from collections.abc import Sequence

from semiseg.comparison.chance import CHANCE
from semiseg.comparison.result import Entry
from semiseg.render import cells
from semiseg.render.document import Cell
from semiseg.statistics.bootstrap import RESAMPLES
from semiseg.study_report.results import StudyResults
from semiseg.study_report.study_metric import Counts, Estimate, StudyMetric
from semiseg.study_report.study_pairs import Pair, shows_gain


def gain(metric: StudyMetric, baseline: float | None, value: float | None, entry: Entry | None = None) -> Cell:
    """Return the improvement in percent; bold if the interval of the difference in ``entry`` confirms it."""
    return cells.number(metric.gain(baseline, value), 1, signed=True, bold=shows_gain(entry, metric))


def gain_title(metric: StudyMetric) -> str:
    """Return the title of a column of improvements."""
    return "gain %" if metric.higher_is_better else "reduction %"


def pair(baseline: float | None, value: float | None, digits: int, name: str = "") -> Cell:
    """Return two values side by side, sorted by the second; a dash for a missing one."""
    texts = [cells.number(baseline, digits).text, cells.number(value, digits).text]
    return Cell("/".join(texts), value=value if value is not None else baseline, parts=_sides(name, baseline, value))


def difference(entry: Entry | None, digits: int) -> Cell:
    """Return a difference from the baseline with its interval."""
    found = None if entry is None else entry.difference
    low, high = (entry and entry.interval) or (None, None)
    parts = (("difference", found), ("difference low", low), ("difference high", high))
    if found is None:
        return Cell(cells.NONE, parts=parts)
    text = cells.number_text(found, digits, "+")
    if low is not None and high is not None:
        text += f" ({cells.interval((low, high), digits, signed=True).text})"
    return Cell(text, value=found, parts=parts)


def mean_and_sd(found: Estimate, digits: int) -> Cell:
    """Return an arm's mean, with the standard deviation over its seeds if there are several."""
    text = cells.number(found.mean, digits).text
    if found.seed_std is not None:
        text += f" ± {found.seed_std:.{digits}f}"
    return Cell(text, value=found.mean, parts=(("mean", found.mean), ("sd", found.seed_std)))


def seeds(shown: Pair, against: str = "baseline") -> Cell:
    """Return the number of seeds (or folds), as one number if both arms have the same; ``against`` names the first."""
    baseline, method = (None if arm is None else len(arm.seeds) for arm in (shown.baseline, shown.arm))
    differ = shown.seeds_differ
    what = f"{shown.shown.repeated}s"
    parts = (*_sides(what, baseline, method, against), (f"{what} differ", float(differ)))
    text = f"{baseline}/{method} (differ)" if differ else str(shown.seeds[-1])
    return Cell(text, value=shown.seeds[-1], parts=parts)


def missed(baseline: Counts | None, method: Counts | None, against: str = "baseline") -> Cell:
    """Return missed structures of both arms; ``against`` names the first."""
    first, second = (None if found is None else found.missed for found in (baseline, method))
    text = "/".join(cells.NONE if value is None else str(value) for value in (first, second))
    value = first if second is None else second
    return Cell(text, value=value, parts=_sides("missed", first, second, against))


def _sides(
    name: str, baseline: float | None, method: float | None, against: str = "baseline"
) -> tuple[tuple[str, float | None], ...]:
    return (f"{name} {against}".lstrip(), baseline), (f"{name} method".lstrip(), method)


def policy_note(metric: StudyMetric) -> str:
    """Return the note on values of empty masks."""
    left_out = "undefined values are left out, for all seeds and, in comparisons, for both arms."
    if not metric.is_distance:
        return left_out.capitalize()
    if metric.policy == "image_diagonal":
        return f"A distance to a missed or spurious structure counts the image diagonal; {left_out}"
    return f"Distances to missed or spurious structures and {left_out}"


def missed_note(metric: StudyMetric) -> tuple[str, ...]:
    """Return the note on the counts shown with distances; empty for other metrics."""
    if not metric.is_distance:
        return ()
    return ("Missed: structures only in the reference, summed over seeds and classes.",)


def gain_note(metric: StudyMetric, baseline: str) -> str:
    """Return the formula of a change in percent."""
    kind = "relative gain (b-a)/a" if metric.higher_is_better else "relative reduction (a-b)/a"
    return (
        f"{gain_title(metric)}: {kind}, with a the value of {baseline} and b the method's; "
        "bold: better, and the interval of the difference excludes 0."
    )


def difference_note(metric: StudyMetric, baseline: str) -> str:
    """Return the definition of a difference and its interval, and the sign that is better."""
    return (
        f"Difference: the method's mean minus that of {baseline} with the same number of labeled cases, on the same "
        f"test cases; {'positive' if metric.higher_is_better else 'negative'} is better. "
        f"Its 95 % bootstrap interval is over cases and seeds ({RESAMPLES:,} samples); seeds are pooled within cases."
    )


def p_note(tests: int) -> str:
    """Return the meaning of a table's p-values and its limits."""
    return (
        "p: Wilcoxon's signed-rank test over the n cases, of the mean over classes, with Holm's correction over the "
        f"{tests} {'test' if tests == 1 else 'tests'} of this table. It applies to the networks as trained, not "
        "to other seeds."
    )


def verdict_note(compared: Sequence[Pair]) -> str:
    """Return the conditions of a verdict, and its limits with one seed."""
    both = [shown for shown in compared if shown.baseline is not None and shown.arm is not None]
    reasons = dict.fromkeys(shown.withheld for shown in both if shown.withheld)
    withheld = f" Not judged: {' or '.join(reasons)} (mean Dice up to {CHANCE:g})." if reasons else ""
    one_seed = "; with one seed: for these two networks only" if any(1 in shown.seeds for shown in both) else ""
    return (
        "Verdict: better or worse if p is below 0.05 and the interval of the difference excludes 0; mixed if p "
        f"is below 0.05, but ranks and mean point in opposite directions{one_seed}.{withheld}"
    )


def seeds_note(results: StudyResults) -> tuple[str, ...]:
    """Return a warning if an arm has only one seed, and how folds are counted; empty otherwise."""
    if all(len(arm.seeds) > 1 for arm in results.arms):
        return folds_note(results)
    return ("With one seed, the interval covers cases only, not other seeds.", *folds_note(results))


def folds_note(results: StudyResults) -> tuple[str, ...]:
    """Return a note on the role of folds in the figures; empty without folds."""
    if results.repeated == "fold":
        return (
            "Folds: with one seed, each fold counts as a seed does otherwise. Folds share most of their labeled cases, "
            "so the interval understates the variation between labeled sets, and does not cover other seeds.",
        )
    return ("Folds: a seed's value of a test case is the mean over its folds.",) if results.folds else ()


def differing_seeds_note(compared: Sequence[Pair]) -> tuple[str, ...]:
    """Return a warning if two arms have different seeds; empty otherwise."""
    counts = dict.fromkeys("/".join(map(str, shown.seeds)) for shown in compared if shown.seeds_differ)
    kinds = " or ".join(sorted({shown.shown.repeated for shown in compared if shown.seeds_differ}))
    return (f"{kinds.capitalize()}s {', '.join(counts)}: not the same labeled sets.",) if counts else ()
