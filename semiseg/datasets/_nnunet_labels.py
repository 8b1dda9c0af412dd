"""Labels of nnU-Net: names of single values where labels are regions, and the value that each region writes."""

from collections.abc import Iterator, Mapping, Sequence

from semiseg.codings.region_table import MOST_REGIONS, class_table

Names = dict[int, str]
Regions = dict[str, tuple[int, ...]]


def named_values(
    labels: Mapping[str, tuple[int, ...]], given: Mapping[int, str]
) -> tuple[Names, Regions, tuple[int, ...]]:
    """Return class names by value, regions, and the values whose names are derived.

    As in nnU-Net, labels are regions if one of them has several values; then each label but the background is a region,
    also one with a single value. No class may have the name of a region, so the classes of regions have names of their
    own: those in ``given``, or else those of the innermost regions that hold the value, such as "tumor core only".

    Args:
        labels: the values of each label, without the one named ignore.
        given: names by value, which take precedence.
    """
    values = sorted({0, *(value for members in labels.values() for value in members)})
    if all(len(members) == 1 for members in labels.values()):
        names = {members[0]: name for name, members in labels.items()}
        return {value: given.get(value, names.get(value, "background")) for value in values}, {}, ()
    regions = {name: members for name, members in labels.items() if members != (0,)}
    background = next((name for name, members in labels.items() if members == (0,)), "background")
    kept = {value: name for value, name in given.items() if name not in regions}
    inner = {value: _innermost(value, regions) for value in values[1:]}
    alike = list(inner.values())
    derived = {v: f"{name} only" if alike.count(name) == 1 else f"{name} only ({v})" for v, name in inner.items()}
    named = {0: background, **derived, **{value: name for value, name in kept.items() if value in derived}}
    return named, regions, tuple(value for value in values[1:] if value not in kept)


def _innermost(value: int, regions: Mapping[str, Sequence[int]]) -> str:
    """Return the regions that hold a value and contain no other region that holds it."""
    around = {name: set(members) for name, members in regions.items() if value in members}
    inner = [name for name, members in around.items() if not any(other < members for other in around.values())]
    return " and ".join(inner)


def order_notes(
    order: Sequence[int] | None, regions: Mapping[str, Sequence[int]], names: Mapping[int, str]
) -> Iterator[str]:
    """Yield notes on voxels to which nnU-Net and semiseg give different labels if networks output these regions.

    nnU-Net writes the value of each region over those before it; semiseg takes the class that lies in exactly the
    regions of the voxel, and lets the last region decide if there is none.

    Source: nnU-Net v2, ``LabelManager.convert_probabilities_to_segmentation``.
    """
    if order is None:
        yield "dataset.json has regions, but no regions_class_order, without which nnU-Net does not train on them"
        return
    if len(regions) > MOST_REGIONS:
        return
    values = sorted(names)
    members = [tuple(map(values.index, region)) for region in regions.values()]
    table = class_table(members, len(values))
    occurring = {sum(1 << bit for bit, region in enumerate(members) if i in region) for i in range(1, len(values))}
    differ = [(code, order[code.bit_length() - 1], values[table[code]]) for code in range(1, len(table))]
    differ = [found for found in differ if found[1] != found[2]]
    if not differ:
        return
    code, theirs, ours = min(differ, key=lambda found: (found[0] not in occurring, found[0].bit_count()))
    where = " and ".join(name for bit, name in enumerate(regions) if code >> bit & 1)
    also = f"; {len(differ) - 1} other sets of regions differ too" if len(differ) > 1 else ""
    yield (
        f"regions_class_order is not followed: if networks output regions, voxels in {where} get the value {ours}"
        f" ({names[ours]}), where nnU-Net writes {theirs}{also}"
    )
