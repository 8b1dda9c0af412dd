"""Strategies on images of two axes: steps of the engine with a 2D toy network."""

import pytest
import torch

from semiseg.engine.build import build_networks
from semiseg.engine.probe import noise_batch
from semiseg.engine.runtime import Runtime
from semiseg.interfaces.batch import Step
from semiseg.registry import installed, load
from semiseg.testing.steps import run_steps
from semiseg.testing.tiny import TinyBackbone
from semiseg.types import Task

TASK = Task(2, ("background", "a", "b"), (12, 8))


@pytest.mark.parametrize("name", [entry.name for entry in installed("strategy")])
def test_it_trains_and_predicts(name):
    cls = load("strategy", name)
    options = cls.Options()
    roles = cls.roles(options)
    strategy = cls(options, build_networks(roles, {role.name: TinyBackbone() for role in roles}, TASK, 0))
    before = {key: value.clone() for key, value in strategy.state_dict().items()}
    stage = strategy.stages()[-1]
    batch = noise_batch(TASK, 2, 2, torch.device("cpu"), cls.needs.targets, stage.pseudo_labels)
    step = Step(99, 100, 9, stage=stage.name)
    (told,) = run_steps(strategy, [(batch, step)], Runtime("cpu", "32"), lr=0.1)
    assert torch.isfinite(torch.tensor(list(told.values()))).all()
    assert any(not torch.equal(value, before[key]) for key, value in strategy.state_dict().items())
    predicted = strategy.eval().predict(torch.randn(2, 2, 12, 8))
    assert predicted.shape == (2, 3, 12, 8)
    torch.testing.assert_close(predicted.sum(dim=1), torch.ones(2, 12, 8))
