"""Names that differ by a prefix: those of a wrapper (``module.``), or of a part in a larger network (``encoder.``)."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

LEAST_OF_THEIRS, LEAST_OF_OURS = 0.5, 0.25
"""Fractions of the names below a prefix, and of the network's, that must agree for it to be taken unasked."""
_LEVELS = 3


@dataclass(frozen=True, slots=True)
class Prefix:
    """What is removed from the names of the weights, and what is then put before them."""

    removed: str = ""
    added: str = ""

    def names(self, theirs: Collection[str]) -> Iterator[tuple[str, str]]:
        """Yield the names here, each with the name there."""
        for name in theirs:
            if name.startswith(self.removed):
                yield self.added + name[len(self.removed) :], name

    def __str__(self) -> str:
        texts = [f"{self.removed!r} removed"] if self.removed else []
        texts += [f"{self.added!r} added"] if self.added else []
        return " and ".join(texts)


def find_prefix(ours: Collection[str], theirs: Collection[str], removed: str | None) -> Prefix | list[Prefix]:
    """Return the prefix with which most names of the network occur among those of the weights.

    Names as they are come first, if no prefix gives more. Otherwise a prefix is taken only if at least half of the
    names below it agree, and a quarter of the network's. ``removed``, if given, is what to remove; only what to add is
    then found, without these limits.

    Returns several if they give equally many names, from different weights: a student and a teacher, for example.
    """
    known, unchanged = set(ours), Prefix(removed or "")
    if known <= {here for here, _ in unchanged.names(theirs)}:
        return unchanged
    tried = [Prefix(left, added) for left in _starts(theirs, removed) for added in ["", *sorted(_parents(ours))]]
    found = {prefix: {here: there for here, there in prefix.names(theirs) if here in known} for prefix in tried}
    most = max(map(len, found.values()))
    if len(found[unchanged]) == most:
        return unchanged
    best = {prefix: names for prefix, names in found.items() if len(names) == most}
    if removed is None:
        best = {prefix: names for prefix, names in best.items() if _is_likely(prefix, len(names), known, theirs)}
        if not best:
            return unchanged
    different = {frozenset(names.values()): prefix for prefix, names in reversed(best.items())}
    return list(different.values())[::-1] if len(different) > 1 else next(iter(best))


def _starts(theirs: Collection[str], removed: str | None) -> list[str]:
    return ["", *sorted(_parents(theirs))] if removed is None else [removed]


def _parents(names: Collection[str]) -> set[str]:
    found = set()
    for name in names:
        parts = name.split(".")[:-1]
        found |= {".".join(parts[: level + 1]) + "." for level in range(min(len(parts), _LEVELS))}
    return found


def _is_likely(prefix: Prefix, count: int, ours: Collection[str], theirs: Collection[str]) -> bool:
    below = sum(name.startswith(prefix.removed) for name in theirs)
    return count >= LEAST_OF_THEIRS * below and count >= LEAST_OF_OURS * len(ours)
