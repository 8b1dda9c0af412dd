"""Which samples of a step a process makes."""

from semiseg.interfaces.strategy import BatchNeeds

Counts = tuple[int, int]
"""Labeled and unlabeled samples."""


def share_of(counts: Counts, needs: BatchNeeds, rank: int, world: int) -> tuple[list[int], list[int]]:
    """The labeled and the unlabeled samples, each numbered from 0, of one of ``world`` processes.

    Groups of a stream's ``unit`` samples in a row stay together, and go to the processes in turn; the unlabeled ones
    begin where the labeled ones ended, so that no process has two groups while another has none.
    """
    labeled, unlabeled = needs.labeled.unit, needs.unlabeled.unit
    begin = -(-counts[0] // labeled)
    return (
        [index for index in range(counts[0]) if index // labeled % world == rank],
        [index for index in range(counts[1]) if (begin + index // unlabeled) % world == rank],
    )


def n_groups(counts: Counts, needs: BatchNeeds) -> int:
    """Groups of a step, which is as many processes as can share it."""
    return -(-counts[0] // needs.labeled.unit) - (-counts[1] // needs.unlabeled.unit)


def largest_share(counts: Counts, needs: BatchNeeds, world: int) -> Counts:
    """What the process with most samples has; where several have as many, the one with most unlabeled samples.

    Those cost more: a teacher looks at them, or a network twice.
    """
    shares = [share_of(counts, needs, rank, world) for rank in range(world)]
    sizes = [(len(labeled), len(unlabeled)) for labeled, unlabeled in shares]
    return max(sizes, key=lambda size: (sum(size), size[1]))
