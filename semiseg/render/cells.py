"""Table cells: numbers, intervals, p-values, and dashes for missing values."""

from semiseg.render.document import Cell

NONE = "–"
"""Text of a cell without a number."""


def count(value: int) -> Cell:
    """Return the cell of a whole number."""
    return Cell(str(value), value=value)


def number(value: float | None, digits: int, *, signed: bool = False, bold: bool = False) -> Cell:
    """Return the cell of a number, or a dash if there is none."""
    if value is None:
        return Cell(NONE)
    return Cell(number_text(value, digits, "+" if signed else ""), bold, value)


def interval(value: tuple[float | None, float | None] | None, digits: int, *, signed: bool = False) -> Cell:
    """Return the cell of an interval, low to high, sorted by the low end."""
    low, high = value or (None, None)
    parts = (("interval low", low), ("interval high", high))
    if low is None or high is None:
        return Cell(NONE, parts=parts)
    texts = [number_text(end, digits, "+" if signed else "") for end in (low, high)]
    return Cell(" to ".join(texts), value=low, parts=parts)


def probability(p: float | None) -> Cell:
    """Return the cell of a p-value."""
    if p is None:
        return Cell(NONE)
    return Cell("<0.001" if p < 0.001 else f"{p:.3f}", value=p)


def number_text(value: float, digits: int, sign: str = "") -> str:
    """Format a number with ``digits`` decimals, never as negative zero; ``sign`` "+" marks positive numbers."""
    text = f"{value:{sign}.{digits}f}"
    return text.lstrip("+-") if float(text) == 0 else text
