"""Labels that are unknown at some voxels: as far as supervised losses go, these voxels do not exist."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from semiseg.engine.build import build_networks
from semiseg.interfaces.backbone import Backbone
from semiseg.interfaces.batch import Batch, Step
from semiseg.losses.named import named_loss
from semiseg.registry import installed, load
from semiseg.testing.strategy import make_batch
from semiseg.types import IGNORE, Task

TASK = Task(2, ("background", "a", "b"), (16, 8, 8))


class Voxelwise(Backbone):
    """A network whose logits at a voxel depend on that voxel alone."""

    def build(self, task):
        return nn.Conv3d(task.in_channels, task.out_channels, 1)


def partly(batch: Batch) -> Batch:
    label = batch.labeled.label.clone()
    label[:, ::3] = IGNORE
    return Batch(replace(batch.labeled, label=label, has_ignored=True), batch.unlabeled)


def poisoned(batch: Batch) -> Batch:
    image = torch.where((batch.labeled.label == IGNORE)[:, None], 100.0, batch.labeled.image)
    return Batch(replace(batch.labeled, image=image), batch.unlabeled)


@pytest.mark.parametrize("kind", ["dice", "cross_entropy", "dice_ce"])
def test_the_loss_is_that_of_the_known_voxels_alone(kind):
    logits = torch.randn((2, 3, 6, 4, 4), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = torch.randint(3, (2, 6, 4, 4), generator=torch.Generator().manual_seed(1))
    known = torch.ones(6, dtype=torch.bool)
    known[::3] = False
    expected = named_loss(logits[:, :, known], labels[:, known], kind)
    labels[:, ~known] = IGNORE
    torch.testing.assert_close(named_loss(logits, labels, kind, has_ignored=True), expected)
    assert torch.equal(named_loss(logits, torch.full_like(labels, IGNORE), kind, True)[:0], expected[:0])


def test_a_sample_of_which_nothing_is_known_has_no_gradient():
    logits = torch.randn((1, 3, 4, 4, 4), requires_grad=True)
    loss = named_loss(logits, torch.full((1, 4, 4, 4), IGNORE), "dice_ce", has_ignored=True)
    loss.sum().backward()
    assert torch.isfinite(loss).all()
    assert not logits.grad.any()


# Strategies with split networks or with targets computed from labels need more than a voxelwise network.
NAMES = [
    entry.name
    for entry in installed("strategy")
    if not load("strategy", entry.name).requires and not load("strategy", entry.name).needs.targets
]


@pytest.mark.parametrize("name", NAMES)
def test_the_images_of_unknown_voxels_do_not_change_the_supervised_loss(name):
    cls = load("strategy", name)
    options = cls.Options()
    roles = cls.roles(options)
    backbones = {role.name: Voxelwise() for role in roles}
    strategy = cls(options, build_networks(roles, backbones, TASK, 0))
    stage = strategy.stages()[0]
    step = Step(0, 100, 10, stage=stage.name)
    batch = partly(make_batch(2, 2 if cls.needs.unlabeled.uses else 0))
    found = []
    for one in (batch, poisoned(batch)):
        torch.manual_seed(0)
        first, *_ = strategy.losses(one, step)
        found.append(first.parts["supervised"].item())
    assert found[0] == pytest.approx(found[1], rel=1e-6)
