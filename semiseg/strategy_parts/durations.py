"""Defaults that depend on the number of steps: waits before pseudo-labels, ramp-ups, and the decay of a teacher.

Published values are made for trainings of thousands of steps. In a short one, a teacher with a decay of 0.99 is a
quarter of the training old, a wait of 1.5 % ends before a network has learned anything, and a ramp-up over the whole
training meets a learning rate near 0. So these depend on the number of steps, and reach the published values where
training is as long as there.
"""


def wait_share(total: int) -> float:
    """Return the fraction of training on labels alone before pseudo-labels are used: 160 steps, from 1.5 % to 40 %.

    1.5 % is 15 of 1000 epochs, as in Luque et al. 2023 (CPS). ``total``: number of steps of the training.
    """
    return min(max(160 / total, 0.015), 0.4)


def ramp_share(total: int) -> float:
    """Return the length of a ramp-up as a fraction of training: total / 30 000, from 0.4 to 1.

    All of 30 000 steps, as in SSL4MIS; 0.4 is MC-Net's and USB's. UA-MT and DTC ramp up over all of their 6000 steps,
    so ``ramp_share: 1`` there. ``total``: number of steps of the training.
    """
    return min(max(total / 30_000, 0.4), 1.0)


def teacher_decay(total: int) -> float:
    """Return the decay of a moving average that is a sixtieth of the training old: 1 - 60 / total, from 0.85 to 0.99.

    0.99 from 6000 steps on, where UA-MT's public code has it. ``total``: number of steps of the training.
    """
    return min(max(1 - 60 / total, 0.85), 0.99)
