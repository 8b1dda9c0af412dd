"""Label savings and closed gaps in words: as sentences, and as clauses of the report's opening sentences."""

from semiseg.messages import counted
from semiseg.statistics.gap_closed import GapClosed
from semiseg.statistics.label_curve import LEVEL
from semiseg.statistics.label_savings import LabelSavings, Side

INTERVAL = f"{100 * LEVEL:g} % interval"
"""What intervals are called."""


def savings_sentence(one: LabelSavings, method: str, baseline: str) -> str:
    """Return the worth of a method's labels as a sentence that names the two methods."""
    arm = f"{method} with {counted(one.labeled, 'label')}"
    fewest, most = one.curve_ends
    if one.worth is None:
        better = f"better than {baseline} with {most}, the end of its curve"
        worse = f"worse than {baseline} with {fewest}, the start of its curve"
        return f"{arm} scored {better if one.above else worse}; nothing is extrapolated ({_interval(one)})."
    doubt = _doubt(one)
    if one.is_read_far and one.between is not None:
        first, second = one.between
        doubt += f"; no model was trained between {first} and {second}: the number is interpolated"
    doubt += flattened(one, baseline)
    unknown = _unknown(one, baseline)
    return f"{arm} is worth {worth_text(one)} {baseline} labels ({_interval(one)}{unknown}){doubt}."


def savings_clause(one: LabelSavings) -> str:
    """Return the same in short: ``25 → 41 (33 to 52)``."""
    return f"{one.labeled} → {worth_text(one)} ({interval_text(one)}){_doubt(one)}"


def flattened(one: LabelSavings, baseline: str) -> str:
    """Return a remark if the baseline's curve had to be made monotone; otherwise ""."""
    if one.falls is None:
        return ""
    few, many = one.falls
    return f"; {baseline} is worse with {many} labels than with {few}, and its curve is flattened there"


def worth_text(one: LabelSavings) -> str:
    """Return the number of labels alone: ``41``, ``more than 100``."""
    return _end(one, one.worth, one.side)


def interval_text(one: LabelSavings) -> str:
    """Return the interval alone: ``33 to 52``, ``fewer than 12 to 14``."""
    return f"{_end(one, one.low, one.low_side)} to {_end(one, one.high, one.high_side)}"


def gap_sentence(gap: GapClosed, method: str, baseline: str) -> str:
    """Return the share of the gap that is closed as a sentence that names the two methods."""
    arm = f"{method} with {counted(gap.labeled, 'label')}"
    whole = f"the gap between {baseline} with {gap.labeled} and with {counted(gap.full_labeled, 'label')}"
    if gap.share is None:
        return f"The share of {whole} that {arm} closes is undefined: {gap.reason}."
    closes = f"{100 * gap.share:.0f} % of {whole}"
    if gap.share < 0:
        closes = f"none of {whole}, and is worse by {-100 * gap.share:.0f} % of it"
    if gap.interval is None:
        return f"{arm} closes {closes} (no interval: {gap.reason})."
    of = " of the share closed" if gap.share < 0 else ""
    doubt = ", possibly none" if gap.interval[0] <= 0 <= gap.interval[1] else ""
    return f"{arm} closes {closes} ({INTERVAL}{of} {percents(gap.interval)}){doubt}."


def gap_clause(gap: GapClosed) -> str:
    """Return the same in short: ``50 % with 8 labels (41 to 62 %)``."""
    if gap.share is None:
        return f"undefined with {gap.labeled} labels"
    interval = "no interval" if gap.interval is None else percents(gap.interval)
    return f"{100 * gap.share:.0f} % with {gap.labeled} labels ({interval})"


def _doubt(one: LabelSavings) -> str:
    return ", possibly no saving" if one.may_be_nothing else ""


def _unknown(one: LabelSavings, baseline: str) -> str:
    """Return a remark if the interval ends outside the curve; otherwise ""."""
    if not (one.low_side or one.high_side):
        return ""
    return ": the {} curve covers {} to {} labels and is not extrapolated".format(baseline, *one.curve_ends)


def _interval(one: LabelSavings) -> str:
    if one.low_side and one.low_side == one.high_side:
        return f"the whole {INTERVAL} is {_end(one, None, one.low_side)}"
    return f"{INTERVAL} {interval_text(one)}"


def _end(one: LabelSavings, value: float | None, side: Side) -> str:
    """Return whole labels, one decimal below 10, or the end of the curve that the number is beyond."""
    if value is not None:
        return f"{value:.1f}" if value < 9.95 else f"{value:.0f}"
    return f"more than {one.curve_ends[1]}" if side == "above" else f"fewer than {one.curve_ends[0]}"


def percents(interval: tuple[float, float]) -> str:
    """Return an interval of shares in percent: ``41 to 62 %``."""
    low, high = (f"{100 * end:.0f}" for end in interval)
    return f"{low} to {high} %"
