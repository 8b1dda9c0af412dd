"""Cells of a study's tables, and the sentences below that say how the figures came to be.

A cell that shows several numbers, or would if they were there, has them as ``parts``: the same columns of a CSV file.
"""

from collections.abc import Sequence

from semiseg.comparison.chance import CHANCE
from semiseg.comparison.result import Entry
from semiseg.render import cells
from semiseg.render.document import Cell
from semiseg.statistics.bootstrap import RESAMPLES
from semiseg.study_report.arms import StudyResults
from semiseg.study_report.study_metric import Counts, Estimate, StudyMetric
from semiseg.study_report.study_pairs import Pair, shows_gain


def gain(metric: StudyMetric, baseline: float | None, value: float | None, entry: Entry | None = None) -> Cell:
    """The improvement in percent; bold where it is one by the interval of the difference, which is ``entry``'s."""
    return cells.number(metric.gain(baseline, value), 1, signed=True, bold=shows_gain(entry, metric))


def gain_title(metric: StudyMetric) -> str:
    """The title of a column of improvements."""
    return "gain %" if metric.higher_is_better else "reduction %"


def pair(baseline: float | None, value: float | None, digits: int, name: str = "") -> Cell:
    """Two values side by side, sorted by the second; one alone where neither method is compared with another."""
    texts = [cells.number(baseline, digits).text, cells.number(value, digits).text]
    return Cell("/".join(texts), value=value if value is not None else baseline, parts=_sides(name, baseline, value))


def difference(entry: Entry | None, digits: int) -> Cell:
    """A difference from the baseline with its interval."""
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
    """An arm's mean, and the standard deviation over its seeds where there are several."""
    text = cells.number(found.mean, digits).text
    if found.seed_std is not None:
        text += f" ± {found.seed_std:.{digits}f}"
    return Cell(text, value=found.mean, parts=(("mean", found.mean), ("sd", found.seed_std)))


def seeds(shown: Pair, beside: str = "baseline") -> Cell:
    """How many seeds: one number where both arms have the same ones; ``beside`` is what the first arm is called."""
    baseline, method = (None if arm is None else len(arm.runs) for arm in (shown.baseline, shown.arm))
    differ = shown.seeds_differ
    parts = (*_sides("seeds", baseline, method, beside), ("seeds differ", float(differ)))
    text = f"{baseline}/{method} (differ)" if differ else str(shown.seeds[-1])
    return Cell(text, value=shown.seeds[-1], parts=parts)


def missed(baseline: Counts | None, method: Counts | None, beside: str = "baseline") -> Cell:
    """Missed structures of both arms; ``beside`` is what the first is called."""
    first, second = (None if found is None else found.missed for found in (baseline, method))
    text = "/".join(cells.NONE if value is None else str(value) for value in (first, second))
    value = first if second is None else second
    return Cell(text, value=value, parts=_sides("missed", first, second, beside))


def _sides(
    name: str, baseline: float | None, method: float | None, beside: str = "baseline"
) -> tuple[tuple[str, float | None], ...]:
    return (f"{name} {beside}".lstrip(), baseline), (f"{name} method".lstrip(), method)


def policy_note(metric: StudyMetric) -> str:
    """What values of empty masks count."""
    left_out = "undefined values are left out, for all seeds, and for both arms where two are compared."
    if not metric.is_distance:
        return left_out.capitalize()
    if metric.policy == "image_diagonal":
        return f"A distance to a missed or spurious structure counts the image diagonal; {left_out}"
    return f"Distances to missed or spurious structures and {left_out}"


def missed_note(metric: StudyMetric) -> tuple[str, ...]:
    """What is counted beside distances; empty for other metrics."""
    if not metric.is_distance:
        return ()
    return ("Missed: structures that are in the reference alone, summed up over seeds and classes.",)


def gain_note(metric: StudyMetric, baseline: str) -> str:
    """How a change in percent is worked out."""
    kind = "relative gain (b-a)/a" if metric.higher_is_better else "relative reduction (a-b)/a"
    return (
        f"{gain_title(metric)}: {kind}, with a the value of {baseline} and b the method's; "
        "bold: better, and the interval of the difference excludes 0."
    )


def difference_note(metric: StudyMetric, baseline: str) -> str:
    """What a difference and its interval are of, and which sign is better."""
    return (
        f"Difference: the method's mean minus that of {baseline} with as many labeled cases, on the same test cases; "
        f"{'positive' if metric.higher_is_better else 'negative'} is better. "
        f"Its 95 % bootstrap interval is over cases and seeds ({RESAMPLES:,} samples); seeds are pooled within cases."
    )


def p_note(tests: int) -> str:
    """What a table's p-values are of, and what they are not."""
    return (
        "p: Wilcoxon's signed-rank test over the n cases, of the mean over classes, with Holm's correction over the "
        f"{tests} {'test' if tests == 1 else 'tests'} of this table. It is about the networks as they were trained "
        "and says nothing about other seeds."
    )


def verdict_note(compared: Sequence[Pair]) -> str:
    """What a verdict needs, and what one seed lets it be about."""
    both = [shown for shown in compared if shown.baseline is not None and shown.arm is not None]
    reasons = dict.fromkeys(shown.withheld for shown in both if shown.withheld)
    withheld = f" Not judged: {' or '.join(reasons)} (mean Dice up to {CHANCE:g})." if reasons else ""
    one_seed = "; one seed: about these two networks only" if any(1 in shown.seeds for shown in both) else ""
    return (
        "Verdict: better or worse where p is below 0.05 and the interval of the difference excludes 0; mixed where p "
        f"is below 0.05, but ranks and mean point to different sides{one_seed}.{withheld}"
    )


def seeds_note(results: StudyResults) -> tuple[str, ...]:
    """A warning where an arm has but one seed; empty else."""
    if all(len(arm.runs) > 1 for arm in results.arms):
        return ()
    return ("Where there is one seed, the interval is over cases alone and says nothing about other seeds.",)


def differing_seeds_note(compared: Sequence[Pair]) -> tuple[str, ...]:
    """A warning where two arms do not have the same seeds; empty else."""
    counts = dict.fromkeys("/".join(map(str, shown.seeds)) for shown in compared if shown.seeds_differ)
    return (f"Seeds {', '.join(counts)}: not the same labeled sets.",) if counts else ()
