"""Groups whose sizes add up to a number: how a count of cases is met without parting the cases of a patient."""

from collections.abc import Sequence


def choose_groups(sizes: Sequence[int], count: int) -> list[int] | None:
    """Indices of groups whose sizes add up to exactly ``count``, early ones first; None where no choice does.

    Where all sizes are 1, these are the first ``count``.
    """
    reachable = _reachable_from(sizes)
    if not reachable[0] >> count & 1:
        return None
    chosen = []
    for index, size in enumerate(sizes):
        if size <= count and reachable[index + 1] >> (count - size) & 1:
            chosen.append(index)
            count -= size
    return chosen


def possible_sums(sizes: Sequence[int], count: int) -> list[int]:
    """The nearest sums below and above ``count`` that some choice of groups has."""
    sums = _reachable_from(sizes)[0]
    below = next((n for n in range(count - 1, -1, -1) if sums >> n & 1), None)
    above = next((n for n in range(count + 1, sum(sizes) + 1) if sums >> n & 1), None)
    return [n for n in (below, above) if n is not None]


def _reachable_from(sizes: Sequence[int]) -> list[int]:
    """For each index, a bit set of the sums that the groups from there on can make."""
    reachable = [1]
    for size in reversed(sizes):
        reachable.append(reachable[-1] | reachable[-1] << size)
    return reachable[::-1]
