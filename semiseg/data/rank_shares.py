"""The distribution of a step's samples over processes."""

from semiseg.interfaces.strategy import BatchNeeds

Counts = tuple[int, int]
"""Numbers of labeled and unlabeled samples."""


def share_of(counts: Counts, needs: BatchNeeds, rank: int, world: int) -> tuple[list[int], list[int]]:
    """Return the labeled and the unlabeled samples, each numbered from 0, of one of ``world`` processes.

    Groups of ``unit`` consecutive samples of a stream stay together and go to the processes in turn. The unlabeled
    groups continue where the labeled ones ended, so that no process has two groups while another has none.
    """
    labeled, unlabeled = needs.labeled.unit, needs.unlabeled.unit
    begin = -(-counts[0] // labeled)
    return (
        [index for index in range(counts[0]) if index // labeled % world == rank],
        [index for index in range(counts[1]) if (begin + index // unlabeled) % world == rank],
    )


def n_groups(counts: Counts, needs: BatchNeeds) -> int:
    """Return the number of groups in a step, which is the maximum number of processes that can share it."""
    return -(-counts[0] // needs.labeled.unit) - (-counts[1] // needs.unlabeled.unit)


def largest_share(counts: Counts, needs: BatchNeeds, world: int) -> Counts:
    """Return the share of the process with the most samples; in a tie, with the most unlabeled samples.

    Unlabeled samples cost more: a teacher also processes them, or a network processes them twice.
    """
    shares = [share_of(counts, needs, rank, world) for rank in range(world)]
    sizes = [(len(labeled), len(unlabeled)) for labeled, unlabeled in shares]
    return max(sizes, key=lambda size: (sum(size), size[1]))
