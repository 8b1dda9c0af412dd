"""Which samples of a stream a process makes."""


def share_of(count: int, unit: int, rank: int, world: int) -> list[int]:
    """The numbers of the samples, from 0 to ``count - 1``, of one of ``world`` processes.

    Groups of ``unit`` samples in a row stay together, and go to the processes in turn.
    """
    return [index for index in range(count) if index // unit % world == rank]
