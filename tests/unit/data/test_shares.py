"""How processes share a step: every sample is made once, groups stay whole, and all have as many groups, within one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semiseg.data.batches import largest_share, n_groups, share_of
from semiseg.interfaces.strategy import BatchNeeds, StreamNeeds


def in_groups_of(labeled=1, unlabeled=1):
    return BatchNeeds(StreamNeeds(unit=labeled), StreamNeeds(unit=unlabeled))


def sizes(counts, needs, world):
    shares = [share_of(counts, needs, rank, world) for rank in range(world)]
    return [(len(labeled), len(unlabeled)) for labeled, unlabeled in shares]


@pytest.mark.parametrize(
    ("counts", "unit", "expected"),
    [
        ((2, 2), 1, [(1, 1), (1, 1)]),
        ((2, 2), 1, [(1, 0), (1, 0), (0, 1), (0, 1)]),
        ((1, 1), 1, [(1, 0), (0, 1)]),
        ((3, 3), 1, [(2, 1), (1, 2)]),
        ((4, 0), 1, [(2, 0), (1, 0), (1, 0)]),
        ((0, 3), 1, [(0, 2), (0, 1)]),
        ((2, 10), 2, [(1, 6), (1, 4)]),
        ((3, 4), 2, [(2, 2), (1, 2)]),
        ((1, 2), 2, [(1, 0), (0, 2)]),
    ],
)
def test_processes_have_as_much_as_one_another(counts, unit, expected):
    needs = in_groups_of(unlabeled=unit)
    assert sizes(counts, needs, len(expected)) == expected
    assert largest_share(counts, needs, len(expected)) == max(expected, key=lambda size: (sum(size), size[1]))


def test_of_shares_alike_the_one_with_more_unlabeled_samples_is_the_largest():
    assert largest_share((3, 3), in_groups_of(), 2) == (1, 2)
    assert largest_share((2, 2), in_groups_of(), 4) == (0, 1)
    assert largest_share((2, 3), in_groups_of(), 1) == (2, 3)


@given(*[st.integers(0, 12)] * 2, *[st.integers(1, 4)] * 2, st.integers(1, 6))
def test_a_step_is_shared_without_parting_groups(n_labeled, n_unlabeled, one, other, world):
    counts, needs = (n_labeled, n_unlabeled), in_groups_of(one, other)
    shares = [share_of(counts, needs, rank, world) for rank in range(world)]
    for stream, (count, unit) in enumerate(zip(counts, (one, other), strict=True)):
        assert sorted(index for share in shares for index in share[stream]) == list(range(count))
        for mine in (share[stream] for share in shares):
            whole = {index for own in mine for index in range(own - own % unit, own - own % unit + unit)}
            assert set(mine) == {index for index in whole if index < count}
    held = [len({i // one for i in share[0]}) + len({i // other for i in share[1]}) for share in shares]
    assert sum(held) == n_groups(counts, needs)
    assert max(held) - min(held) <= 1
