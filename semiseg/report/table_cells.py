"""Cells of a study's tables, and the sentences below that say how the figures came to be."""

from collections.abc import Sequence

from semiseg.evaluation.bootstrap import RESAMPLES
from semiseg.evaluation.compare_result import Entry, Interval
from semiseg.report.arms import StudyResults
from semiseg.report.document import Cell
from semiseg.report.study_metric import StudyMetric

NONE = "–"


def count(value: int) -> Cell:
    """A whole number."""
    return Cell(str(value), value=value)


def number(value: float | None, digits: int, *, signed: bool = False, bold: bool = False) -> Cell:
    """A number, or a dash where there is none."""
    if value is None:
        return Cell(NONE)
    return Cell(_text(value, digits, "+" if signed else ""), bold, value)


def gain(metric: StudyMetric, baseline: float | None, value: float | None) -> Cell:
    """The improvement in percent, bold where it is one."""
    found = metric.gain(baseline, value)
    return number(found, 1, signed=True, bold=found is not None and found > 0)


def pair(baseline: float | None, value: float | None, digits: int) -> Cell:
    """Two values side by side, sorted by the second; one alone where neither method is compared with another."""
    texts = [number(baseline, digits).text, number(value, digits).text]
    return Cell("/".join(texts), value=value if value is not None else baseline)


def difference(entry: Entry | None, digits: int) -> Cell:
    """A difference from the baseline with its interval."""
    if entry is None or entry.difference is None:
        return Cell(NONE)
    text = _text(entry.difference, digits, "+")
    if entry.interval is not None:
        text += f" ({interval(entry.interval, digits, signed=True).text})"
    return Cell(text, value=entry.difference)


def interval(value: Interval | None, digits: int, *, signed: bool = False) -> Cell:
    """Low to high, sorted by the low end."""
    if value is None:
        return Cell(NONE)
    low, high = (_text(end, digits, "+" if signed else "") for end in value)
    return Cell(f"{low} to {high}", value=value[0])


def probability(p: float | None) -> Cell:
    """A p-value."""
    if p is None:
        return Cell(NONE)
    return Cell("<0.001" if p < 0.001 else f"{p:.3f}", value=p)


def seeds(counts: Sequence[int]) -> Cell:
    """How many seeds: one number where all methods have as many."""
    return Cell("/".join(map(str, dict.fromkeys(counts))), value=counts[-1])


def _text(value: float, digits: int, sign: str) -> str:
    text = f"{value:{sign}.{digits}f}"
    return text.lstrip("+-") if float(text) == 0 else text


def policy_note(metric: StudyMetric) -> str:
    """What values of empty masks count."""
    left_out = "undefined values are left out, for all seeds, and for both arms where two are compared."
    if metric.unit == "1":
        return left_out.capitalize()
    if metric.policy == "image_diagonal":
        return f"A distance to a missed or spurious structure counts the image diagonal; {left_out}"
    return f"Distances to missed or spurious structures and {left_out}"


def gain_note(metric: StudyMetric, baseline: str) -> str:
    """How a change in percent is worked out."""
    kind = "gain (b-a)/a" if metric.higher_is_better else "reduction (a-b)/a"
    return f"%: relative {kind}, with a the value of {baseline} and b the method's; bold: the method is better."


def difference_note(baseline: str) -> str:
    """What a difference and its interval are of."""
    return (
        f"Difference: the method's mean minus that of {baseline} with as many labeled cases, on the same test cases, "
        f"with its 95 % bootstrap interval over cases and seeds ({RESAMPLES:,} samples); seeds are pooled within cases."
    )


def seeds_note(results: StudyResults) -> tuple[str, ...]:
    """A warning where an arm has but one seed; empty else."""
    if all(len(arm.runs) > 1 for arm in results.arms):
        return ()
    return ("Where there is one seed, the interval is over cases alone and says nothing about other seeds.",)
