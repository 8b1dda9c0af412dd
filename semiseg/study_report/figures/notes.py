"""Notes that explain a figure's bands and bars."""

from collections.abc import Iterable, Sequence

from semiseg.study_report.study_metric import Estimate


def interval_note(shown: str, estimates: Iterable[Estimate]) -> str:
    """Describe the bands and bars of means, named by ``shown``; empty if no mean has an interval."""
    found = [each for each in estimates if each.interval is not None]
    if not found:
        return ""
    cases, seeds = (_range([getattr(each, name) for each in found]) for name in ("n", "seeds"))
    return (
        f"{shown}: 95 % bootstrap interval of each mean alone, over {cases} test cases and {seeds} "
        f"{found[0].repeated}{'' if seeds == '1' else 's'}; paired differences, which are narrower, are in the table."
    )


def _range(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"
