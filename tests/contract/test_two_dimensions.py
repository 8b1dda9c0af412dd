"""Strategies on images of two axes: steps of the engine with a 2D toy network, for every installed strategy."""

from dataclasses import replace

import pytest
import torch
from helpers_strategies import WITH_ANY_NETWORK
from scipy import ndimage
from torch import nn

from semiseg.engine.build import build_networks
from semiseg.engine.probe import noise_batch
from semiseg.engine.runtime import Runtime
from semiseg.interfaces.backbone import Backbone
from semiseg.interfaces.batch import Batch, Step
from semiseg.interfaces.co_training import CoTraining
from semiseg.registry import installed, load
from semiseg.strategy_parts.signed_distance import signed_distances
from semiseg.testing.steps import run_steps
from semiseg.testing.strategy import StrategyContract
from semiseg.testing.tiny import TinyBackbone
from semiseg.types import IGNORE, Task

TASK = Task(2, ("background", "a", "b"), (12, 8))
NAMES = [entry.name for entry in installed("strategy")]
SUITE = StrategyContract()


class Pixelwise(Backbone):
    """A network whose logits at a pixel depend on that pixel alone."""

    def build(self, task):
        return nn.Conv2d(task.in_channels, task.out_channels, 1)


def start(name, backbone=TinyBackbone):
    """Return a strategy with its default options, a batch of noise for its last stage, and that stage's last step."""
    cls = load("strategy", name)
    options = cls.Options()
    roles = cls.roles(options)
    strategy = cls(options, build_networks(roles, {role.name: backbone() for role in roles}, TASK, 0))
    stage = strategy.stages()[-1]
    batch = noise_batch(TASK, 2, 2, torch.device("cpu"), cls.needs.targets, stage.pseudo_labels)
    return strategy, batch, Step(99, 100, 9, stage=stage.name)


@pytest.mark.parametrize("name", NAMES)
def test_it_trains_and_predicts(name):
    strategy, batch, step = start(name)
    before = {key: value.clone() for key, value in strategy.state_dict().items()}
    (told,) = run_steps(strategy, [(batch, step)], Runtime("cpu", "32"), lr=0.1)
    assert torch.isfinite(torch.tensor(list(told.values()))).all()
    assert any(not torch.equal(value, before[key]) for key, value in strategy.state_dict().items())
    predicted = strategy.eval().predict(torch.randn(2, 2, 12, 8))
    assert predicted.shape == (2, 3, 12, 8)
    torch.testing.assert_close(predicted.sum(dim=1), torch.ones(2, 12, 8))


@pytest.mark.parametrize("name", NAMES)
def test_micro_batches_and_step_modes_give_the_joint_step(name):
    cls = load("strategy", name)
    SUITE.test_declared_modes_give_the_joint_step(cls, {}, spatial_dims=2)
    if not cls.whole_batch:
        SUITE.test_micro_batches_add_up_to_the_whole_batch(SUITE.make(cls, {}, spatial_dims=2))


@pytest.mark.parametrize("name", [name for name in NAMES if issubclass(load("strategy", name), CoTraining)])
def test_two_networks_predict_their_mean(name):
    strategy, batch, _ = start(name)
    images = batch.images()
    with torch.no_grad():
        alone = [network(images).softmax(1) for network in strategy.eval().networks.values()]
        predicted = strategy.predict(images)
    assert not torch.allclose(alone[0], alone[1])
    torch.testing.assert_close(predicted, (alone[0] + alone[1]) / 2)


# Networks of strategies that need parts or targets are not pixelwise.
@pytest.mark.parametrize("name", WITH_ANY_NETWORK)
def test_images_of_ignored_pixels_do_not_change_the_supervised_loss(name):
    strategy, batch, step = start(name, Pixelwise)
    label = batch.labeled.label.clone()
    label[:, ::3] = IGNORE
    known = label != IGNORE
    labeled = replace(batch.labeled, label=label, has_ignored=True)

    def loss(where):
        """The supervised loss with other images where a mask is True."""
        image = torch.where(where[:, None], 100.0, labeled.image)
        torch.manual_seed(0)
        first, *_ = strategy.losses(Batch(replace(labeled, image=image), batch.unlabeled), step)
        return first.parts["supervised"].item()

    expected = loss(torch.zeros_like(known))
    assert loss(~known) == pytest.approx(expected, rel=1e-6)
    assert loss(known) != pytest.approx(expected, rel=1e-6)


def test_targets_are_distances_in_the_plane():
    labels = torch.zeros((1, 12, 8), dtype=torch.int64)
    labels[0, 3:9, 2:7] = 1
    (distance,) = signed_distances(labels, 2)[0].numpy()
    inside = labels[0].numpy() == 1
    outside = ndimage.distance_transform_edt(~inside)
    assert distance[~inside] == pytest.approx((outside / outside.max())[~inside])
    assert (distance[4:8, 3:6] < 0).all()  # within the rectangle's border, which has distance 0
    assert (distance[inside] == 0).sum() == inside.sum() - 4 * 3


@pytest.mark.parametrize("name", [name for name in NAMES if load("strategy", name).needs.targets])
def test_a_strategy_with_targets_learns_from_them(name):
    strategy, batch, step = start(name)
    shifted = {key: target + 1 for key, target in batch.labeled.targets.items()}
    assert all(target.shape[2:] == (12, 8) for target in shifted.values())
    other = Batch(replace(batch.labeled, targets=shifted), batch.unlabeled)
    first, second = (next(iter(strategy.losses(one, step))).total.item() for one in (batch, other))
    assert first != pytest.approx(second)


@pytest.mark.parametrize("name", [name for name in NAMES if load("strategy", name).requires])
def test_every_part_of_a_split_network_learns(name):
    """Additional decoders, heads and scales give outputs of the image's size, and get gradients."""
    strategy, batch, step = start(name)
    outputs = strategy.outputs("model", batch.images())
    more = [*outputs.decoders, *outputs.scales, *outputs.heads.values()]
    assert more
    assert all(output.shape[2:] == (12, 8) for output in more)
    assert all(not torch.equal(output, outputs.logits) for output in (*outputs.decoders, *outputs.scales))
    for losses in strategy.losses(batch, step):
        losses.total.backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in strategy.parameters())


def test_the_decoders_of_mc_net_differ_in_their_interpolation():
    if "mc_net" not in NAMES:
        pytest.skip("semiseg-multi-head is not installed")
    strategy, _, _ = start("mc_net")
    modes = [module.mode for module in strategy.modules() if isinstance(module, nn.Upsample)]
    assert modes == ["bilinear", "nearest"]
    assert sum(isinstance(module, nn.ConvTranspose2d) for module in strategy.modules()) == 1
