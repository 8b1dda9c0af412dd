"""From sets of regions to classes, and back. Does not import torch."""

from collections.abc import Mapping, Sequence

MOST_REGIONS = 12
"""Maximum number of regions: the table has an entry for each set of them."""


def members_of(regions: Sequence[Sequence[int]], n_classes: int) -> list[list[bool]]:
    """Return for each region whether each class lies in it; class 0, the background, lies in none."""
    return [[index in region for index in range(n_classes)] for region in regions]


def class_table(regions: Sequence[Sequence[int]], n_classes: int) -> list[int]:
    """Return the class for each set of regions; a set is a number with bit r for region r.

    A set that is exactly the regions of a class gives that class (the first of several). Any other set cannot occur in
    a label map: its last region decides, in the order of ``regions``, as in nnU-Net, where each region overwrites the
    ones before. It gives the region's first class that lies in no later region, or else its first class.
    """
    exact: dict[int, int] = {}
    for index in range(n_classes):
        code = sum(1 << bit for bit, region in enumerate(regions) if index and index in region)
        exact.setdefault(code, index)
    return [exact.get(code, _overwritten(code, regions)) for code in range(1 << len(regions))]


def _overwritten(code: int, regions: Sequence[Sequence[int]]) -> int:
    last = code.bit_length() - 1
    later = {index for region in regions[last + 1 :] for index in region}
    return next((index for index in sorted(regions[last]) if index not in later), min(regions[last], default=0))


def region_notes(regions: Mapping[str, Sequence[int]], classes: Sequence[str]) -> list[str]:
    """Return notes on classes that predictions cannot contain: in no region, or in the same regions as another."""
    table = set(class_table(list(regions.values()), len(classes)))
    outside = [name for index, name in enumerate(classes) if index and not any(index in r for r in regions.values())]
    alike = [name for index, name in enumerate(classes) if index and index not in table and name not in outside]
    notes = []
    if outside:
        notes.append(f"no region contains {', '.join(outside)}: training treats it as background")
    if alike:
        one = len(alike) == 1
        same = "lies in the same regions as another class" if one else "lie in the same regions as others"
        notes.append(f"{', '.join(alike)} {same}, so that predictions never contain {'it' if one else 'them'}")
    return notes
