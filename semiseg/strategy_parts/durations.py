"""Defaults that depend on the number of steps: the wait before pseudo-labels, and the decay of a teacher.

Published values are made for trainings of thousands of steps. In a short one, a teacher with a decay of 0.99 is a
quarter of the training old, and a wait of 1.5 % ends before a network has learned anything. So these are counted in
steps where training is short, and approach the published shares and decays where it is long.
"""


def wait_share(total: int) -> float:
    """Return the fraction of training on labels alone before pseudo-labels are used: 160 steps, from 1.5 % to 40 %.

    1.5 % is 15 of 1000 epochs, as in Luque et al. 2023 (CPS). ``total``: number of steps of the training.
    """
    return min(max(160 / total, 0.015), 0.4)


def teacher_decay(total: int) -> float:
    """Return the decay of a moving average that is a sixtieth of the training old: 1 - 60 / total, from 0.85 to 0.99.

    0.99 from 6000 steps on, where UA-MT's public code has it. ``total``: number of steps of the training.
    """
    return min(max(1 - 60 / total, 0.85), 0.99)
