"""A strategy in somebody's own training loop does the steps of semiseg's engine."""

import pytest
import torch
from torch import nn

import semiseg
from semiseg.engine.runtime import Runtime
from semiseg.errors import ArgumentError, RecipeError
from semiseg.interfaces.batch import Batch, Step
from semiseg.testing.steps import run_steps
from semiseg.testing.tiny import TinyBackbone
from semiseg.types import IGNORE

TASK = {"channels": 1, "classes": ("background", "left", "right"), "patch_size": (8, 8, 8)}


def small():
    """A network of one's own: three classes for one channel."""
    return nn.Sequential(nn.Conv3d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv3d(4, 3, 1))


def samples(seed=0, n=2, size=(8, 8, 8)):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n, 1, *size, generator=generator), torch.randint(3, (n, *size), generator=generator)


@pytest.mark.parametrize(
    "strategy",
    [
        "supervised",
        {"name": "cps", "phi": 0.7, "wait_share": None},
        {"name": "fixmatch", "preset": "short", "wait_share": 0, "ramp_share": 0},
        "entropy_minimization",
    ],
    ids=lambda one: one if isinstance(one, str) else one["name"],
)
def test_steps_equal_those_of_the_engine(strategy):
    """The documented loop and the engine's step, from the same weights: the same weights after three steps."""
    ours, engines = (semiseg.make_strategy(strategy, small, **TASK, seed=3) for _ in range(2))
    batches = []
    for index in range(3):
        images, labels = samples(index)
        batches.append((Batch.of(images, labels, samples(10 + index)[0]), Step.of(index, 6, seed=3)))
    run_steps(engines, batches, Runtime("cpu", "32"), lr=0.1)
    trained = [role.name for role in ours.roles(ours.options) if role.trained]
    optimizer = torch.optim.SGD([p for role in trained for p in ours.networks[role].parameters()], lr=0.1)
    ours.train()
    for batch, step in batches:
        optimizer.zero_grad()
        for losses in ours.losses(batch, step):
            losses.total.backward()
        optimizer.step()
        ours.after_step(step)
    before = semiseg.make_strategy(strategy, small, **TASK, seed=3).state_dict()
    for name, value in engines.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value, rtol=1e-5, atol=1e-7)
    assert any(not torch.equal(value, before[name]) for name, value in ours.state_dict().items())
    probabilities = ours.eval().predict(samples(20)[0])
    torch.testing.assert_close(probabilities.sum(1), torch.ones(2, 8, 8, 8))


def test_weights_depend_on_the_seed_and_the_role_alone():
    first, again, other = (semiseg.make_strategy("cps", small, **TASK, seed=seed) for seed in (1, 1, 2))
    state = torch.random.get_rng_state()
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in first.state_dict().items())
    a, b = (next(first.networks[role].parameters()) for role in ("student_a", "student_b"))
    assert not torch.equal(a, b)
    assert not torch.equal(a, next(other.networks["student_a"].parameters()))
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.parametrize(
    "network",
    ["basic_unet", {"name": "unet", "channels": [4, 8], "strides": [2]}, TinyBackbone(TinyBackbone.Options())],
    ids=["name", "options", "object"],
)
def test_backbones_by_name_with_options_and_as_objects(network):
    method = semiseg.make_strategy("supervised", network, **{**TASK, "patch_size": (32, 16, 16)})
    assert method.predict(torch.rand(1, 1, 32, 16, 16)).shape == (1, 3, 32, 16, 16)


def test_roles_with_networks_of_their_own():
    networks = {"student_a": {"name": "unet", "channels": [4, 8], "strides": [2]}, "student_b": "basic_unet"}
    method = semiseg.make_strategy(
        {"name": "cross_teaching", "networks": networks}, small, **{**TASK, "patch_size": (32, 16, 16)}
    )
    assert "BasicU" in type(method.networks["student_b"]).__name__


@pytest.mark.parametrize(
    ("strategy", "network", "changes", "error", "said"),
    [
        ("cpss", small, {}, RecipeError, "Did you mean 'cps'"),
        ({"name": "cps", "fi": 1}, small, {}, RecipeError, "fi"),
        ({"name": "cps", "preset": "long"}, small, {}, RecipeError, "no preset 'long'"),
        ("unimatch", small, {}, RecipeError, "does not offer split"),
        ("cps", "unett", {}, RecipeError, "Did you mean 'unet'"),
        ("cps", small, {"patch_size": (8,)}, ArgumentError, "not two or three sides"),
        ("cps", small, {"classes": ["background"]}, ArgumentError, "too few"),
        ("cps", small, {"channels": 0}, ArgumentError, "there are 0"),
        ("cps", {"name": "unet", "channels": [4, 8], "strides": [2]}, {"patch_size": (9, 8, 8)}, ArgumentError, "9"),
    ],
)
def test_what_fits_nothing_is_told(strategy, network, changes, error, said):
    with pytest.raises(error, match=said):
        semiseg.make_strategy(strategy, network, **{**TASK, **changes})


def test_batches_and_steps_of_tensors():
    images, labels = samples()
    labels[0, 0] = IGNORE
    batch = Batch.of(images, labels, images[:1])
    assert (len(batch.labeled), batch.labeled.count, len(batch.unlabeled), batch.unlabeled.count) == (2, 2, 1, 1)
    assert batch.unlabeled.slots == (2,)
    assert batch.labeled.has_ignored
    alone = Batch.of(images, samples()[1])
    assert len(alone.unlabeled) == 0
    assert not alone.labeled.has_ignored
    step = Step.of(30, 100, epoch_length=20)
    assert (step.progress, step.epoch, step.stage) == (0.3, 1, "train")
    assert Step.of(30, 100).epoch == 0
