"""Cells of tables: numbers, intervals, p-values, and dashes where there are none."""

from semiseg.render.document import Cell

NONE = "–"
"""What stands where there is no number."""


def count(value: int) -> Cell:
    """A whole number."""
    return Cell(str(value), value=value)


def number(value: float | None, digits: int, *, signed: bool = False, bold: bool = False) -> Cell:
    """A number, or a dash where there is none."""
    if value is None:
        return Cell(NONE)
    return Cell(number_text(value, digits, "+" if signed else ""), bold, value)


def interval(value: tuple[float | None, float | None] | None, digits: int, *, signed: bool = False) -> Cell:
    """Low to high, sorted by the low end."""
    low, high = value or (None, None)
    parts = (("interval low", low), ("interval high", high))
    if low is None or high is None:
        return Cell(NONE, parts=parts)
    texts = [number_text(end, digits, "+" if signed else "") for end in (low, high)]
    return Cell(" to ".join(texts), value=low, parts=parts)


def probability(p: float | None) -> Cell:
    """A p-value."""
    if p is None:
        return Cell(NONE)
    return Cell("<0.001" if p < 0.001 else f"{p:.3f}", value=p)


def number_text(value: float, digits: int, sign: str = "") -> str:
    """A number of so many digits, never a negative zero; ``sign`` "+" gives positive ones theirs."""
    text = f"{value:{sign}.{digits}f}"
    return text.lstrip("+-") if float(text) == 0 else text
