"""Labels that are unknown at some voxels: as far as supervised losses go, these voxels do not exist."""

from dataclasses import replace

import pytest
import torch
from helpers_strategies import WITH_ANY_NETWORK
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


# Networks of split strategies are not voxelwise.
NAMES = [name for name in WITH_ANY_NETWORK if load("strategy", name).supports_ignored]
EVERYWHERE = {
    "cps": [{"pseudo_loss": "cross_entropy", "loss": "dice_ce"}],
    "pi_model": [{"consistency_on": "labeled_and_unlabeled"}],
    "mean_teacher": [{"consistency_on": "labeled_and_unlabeled"}],
    "bcp": [{"largest_component": False}],
    "sdcl": [{"largest_component": False}],
}
"""Options with which unsupervised losses include labeled samples, and others that need the same care."""


def start(name, options):
    cls = load("strategy", name)
    chosen = cls.Options.model_validate(options)
    roles = cls.roles(chosen)
    return cls(chosen, build_networks(roles, {role.name: Voxelwise() for role in roles}, TASK, 0))


@pytest.mark.parametrize("name", NAMES)
def test_the_images_of_unknown_voxels_do_not_change_the_supervised_loss(name):
    strategy = start(name, {})
    step = Step(0, 100, 10, stage=strategy.stages()[0].name)
    batch = partly(make_batch(2, 2 if strategy.needs.unlabeled.uses else 0))
    found = []
    for one in (batch, poisoned(batch)):
        torch.manual_seed(0)
        first, *_ = strategy.losses(one, step)
        found.append(first.parts["supervised"].item())
    assert found[0] == pytest.approx(found[1], rel=1e-6)


def rearranged(batch: Batch, where: torch.Tensor) -> Batch:
    """Return the batch with other voxels in some planes of the labeled samples: one channel's values in another order.

    Statistics of a channel, which views may depend on, stay the same.
    """
    image = batch.labeled.image.clone()
    image[:, 0, where] = image[:, 0, where].flatten(1).flip(1).reshape(image[:, 0, where].shape)
    return Batch(replace(batch.labeled, image=image), batch.unlabeled)


@pytest.mark.parametrize(("name", "options"), [(n, o) for n in NAMES for o in ({}, *EVERYWHERE.get(n, []))])
def test_no_loss_of_a_step_depends_on_unknown_voxels(name, options):
    """Every stage, term, log entry and gradient: an unknown voxel is no target of pseudo-labels or consistency, too."""
    strategy = start(name, options)
    planes = torch.arange(make_batch().labeled.label.shape[1])
    for stage in strategy.stages():
        step = Step(99, 100, 10, stage.name, 99, 100)
        sizes = (2, 2 if strategy.needs.unlabeled.uses else 0)
        batch = partly(make_batch(*sizes, pseudo=stage.pseudo_labels))

        def parts(one, step=step):
            torch.manual_seed(0)
            strategy.zero_grad()
            found = {}
            for number, losses in enumerate(strategy.losses(one, step)):
                losses.total.backward()
                found |= {f"{number} {key}": value.item() for key, value in losses.parts.items()}
            gradients = [p.grad.flatten() for p in strategy.parameters() if p.grad is not None]
            return found, torch.cat(gradients).tolist()

        expected, gradient = parts(batch)
        found, same = parts(rearranged(batch, planes % 3 == 0))
        assert found == pytest.approx(expected, rel=1e-5)
        assert same == pytest.approx(gradient, rel=1e-4, abs=1e-7)
        assert parts(rearranged(batch, planes % 3 == 1))[0] != pytest.approx(expected, rel=1e-5)


def test_every_strategy_with_its_own_targets_says_whether_it_supports_ignored_voxels():
    for entry in installed("strategy"):
        strategy = load("strategy", entry.name)
        if strategy.needs.targets:
            assert "supports_ignored" in vars(strategy), f"{entry.name} makes targets from labels"
