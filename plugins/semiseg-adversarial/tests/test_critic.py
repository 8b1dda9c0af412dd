"""The critic: against the public code's numbers, on patches of any size, and its dropout."""

from itertools import pairwise

import pytest
import torch

from semiseg.interfaces.batch import Step
from semiseg.testing.published.golden import wave
from semiseg.types import Task
from semiseg_adversarial.critic import Critic, channel_factors, critic_role

STEP = Step(3, 100, 10, seed=2)


def filled(critic):
    """Parameters in order, the same in the public code's: half of a wave each."""
    for number, parameter in enumerate(critic.double().parameters()):
        parameter.data = 0.5 * wave(parameter.shape, 0.3 + 0.1 * number)
    return critic


@pytest.mark.parametrize(
    ("patch", "samples", "maps", "logits"),
    [
        # SSL4MIS@06df604 code/networks/discriminator.py:6-55, FC3DDiscriminator(3, ndf=2).eval()
        ((96, 96, 96), 2, 3, [[1.7816827938282345, -1.0055856290793348], [1.7621562708086587, -0.9919640791087896]]),
        # SASSnet@1761aa8 code/networks/discriminator.py:54-98, FC3DDiscriminator(1, ndf=2).eval()
        ((112, 112, 80), 1, 1, [[3.879951862966922, -1.40850933914369]]),
    ],
    ids=["SSL4MIS", "SASSnet"],
)
def test_it_is_the_public_code_s_on_the_patches_for_which_that_works(patch, samples, maps, logits):
    critic = filled(Critic(Task(1, ("background", "a"), patch), maps, 2))
    found = critic(wave((samples, maps, *patch), 0.7), wave((samples, 1, *patch), 1.1))
    assert found.flatten().tolist() == pytest.approx([value for row in logits for value in row], rel=1e-9)


@pytest.mark.parametrize("patch", [(1, 1), (8, 8), (5, 33), (16, 16), (256, 256), (1, 8, 40), (7, 7, 7), (16, 17, 18)])
def test_it_judges_patches_of_any_size_and_every_voxel_counts(patch):
    critic = Critic(Task(3, ("background", "a"), patch), 2, 2)
    maps, images = (torch.randn(2, n, *patch, requires_grad=True) for n in (2, 3))
    found = critic(maps, images)
    assert found.shape == (2, 2)
    found[:, 1].sum().backward()
    seen = (maps.grad != 0).any(dim=1) & (images.grad != 0).any(dim=1)
    assert seen.all()
    assert all(parameter.grad is not None for parameter in critic.parameters())


def test_channels_double_and_the_number_of_channels_is_that_of_the_role():
    task = Task(3, ("background", "a"), (16, 16, 16))
    role = critic_role(lambda task: 2, 64, 1e-4)
    critic = role.build(None, task)
    assert [layer.out_channels for layer in (critic.of_maps, critic.of_images, *critic.deeper)] == [
        64,
        64,
        128,
        256,
        512,
    ]
    assert [each.shape[1:] for each in role.meta_inputs(task)] == [(2, 16, 16, 16), (3, 16, 16, 16)]


def test_dropout_is_of_whole_channels_by_sample_and_step():
    factors = channel_factors((4, 5, 6), STEP, 0.5, 64)
    assert factors.shape == (3, 7 * 64)
    assert set(factors.unique().tolist()) == {0, 2}
    assert all(0.4 < (row == 0).float().mean() < 0.6 for row in factors)
    assert all(not torch.equal(one, other) for one, other in pairwise(factors))
    assert torch.equal(channel_factors((5,), STEP, 0.5, 64), factors[1:2])  # alone as with others
    assert not torch.equal(channel_factors((5,), Step(4, 100, 10, seed=2), 0.5, 64), factors[1:2])
    assert (channel_factors((4,), STEP, 0, 2) == 1).all()


def test_a_dropped_channel_has_no_effect():
    task = Task(1, ("background", "a"), (16, 16))
    critic = Critic(task, 1, 2)
    maps, images = torch.randn(2, 1, 1, 16, 16)
    factors = torch.ones(1, 14)
    factors[0, :2] = 0  # both of the first level: what is left are biases
    assert torch.equal(critic(maps, images, factors), critic(images, maps, factors))
    assert torch.equal(critic(maps, images, torch.ones(1, 14)), critic(maps, images))
    assert not torch.equal(critic(maps, images), critic(images, maps))
