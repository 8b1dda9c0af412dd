"""A strategy under test: its construction, and the steps it takes."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import pytest
import torch
from torch import Tensor

from semiseg.codings.of_task import coding_of
from semiseg.engine.build import build_networks
from semiseg.engine.runtime import Runtime
from semiseg.engine.schedule import TrainingSchedule
from semiseg.interfaces.backbone import Backbone
from semiseg.interfaces.batch import Batch, Step
from semiseg.interfaces.strategy import Strategy
from semiseg.messages import some
from semiseg.seeding import derive_seed
from semiseg.testing.batches import TASK, TASKS, copied, differing, make_batch
from semiseg.testing.capabilities import declared_or_skip
from semiseg.testing.steps import run_steps
from semiseg.testing.tiny import TinyBackbone
from semiseg.types import Task

in_2d_and_3d = pytest.mark.parametrize("spatial_dims", [2, 3], ids=["2D", "3D"], indirect=True)
"""Runs a test once for each number of spatial axes that the strategy declares."""
_TASKS: WeakKeyDictionary[Strategy, Task] = WeakKeyDictionary()


class StrategyTests:
    """Base of all tests of a strategy.

    What depends on the shapes of images is tested in 2D and in 3D (``in_2d_and_3d``), the rest only in 3D. A strategy
    that does not declare both in ``Strategy.spatial_dims`` is tested only in the one that it declares.
    """

    @pytest.fixture
    def strategy_class(self) -> type[Strategy]:
        """Return the strategy class under test."""
        raise NotImplementedError

    @pytest.fixture
    def options(self) -> Mapping[str, Any]:
        """Return its options, as in a recipe."""
        return {}

    @pytest.fixture
    def spatial_dims(self, request: pytest.FixtureRequest, strategy_class: type[Strategy]) -> int:
        """Return the number of spatial axes of the test's images."""
        return declared_or_skip(getattr(request, "param", default_spatial_dims(strategy_class)), strategy_class)

    @pytest.fixture
    def strategy(self, strategy_class: type[Strategy], options: Mapping[str, Any], spatial_dims: int) -> Strategy:
        """Return the strategy with one tiny network per role."""
        return self.make(strategy_class, options, spatial_dims)

    @staticmethod
    def backbone() -> Backbone:
        """Return the backbone that builds every role's network."""
        return TinyBackbone()

    @classmethod
    def make(
        cls,
        strategy_class: type[Strategy],
        options: Mapping[str, Any],
        spatial_dims: int | None = None,
        task: Task | None = None,
        backbone: Backbone | None = None,
    ) -> Strategy:
        """Build a strategy from fixed seeds, by default for images of three axes if it supports them."""
        task = task or TASKS[default_spatial_dims(strategy_class) if spatial_dims is None else spatial_dims]
        chosen = strategy_class.Options.model_validate(options)
        roles = strategy_class.roles(chosen)
        networks = build_networks(roles, {role.name: backbone or cls.backbone() for role in roles}, task, 0)
        strategy = strategy_class(chosen, networks)  # build_strategy would refuse what a check of the suite explains
        strategy.coding = coding_of(task)
        _TASKS[strategy] = task
        return strategy

    @staticmethod
    def timetable(strategy: Strategy, total: int = 100) -> TrainingSchedule:
        """Return the timetable of a training of ``total`` steps."""
        epochs = 10 if total % 10 == 0 else total
        return TrainingSchedule(strategy.stages(), epochs, total // epochs, 1, seed=1)

    @classmethod
    def at(cls, strategy: Strategy, index: int, total: int = 100) -> Step:
        """Return a step of a training of ``total`` steps."""
        return cls.timetable(strategy, total).step(index)

    @staticmethod
    def batch(strategy: Strategy, step: Step, seed: int = 0) -> Batch:
        """Return a batch that meets the strategy's needs at a step: at least two groups of each stream."""
        needs = strategy.batch_needs(strategy.options)
        sizes = [max(n.minimum, 2 * n.unit) if n.uses else 0 for n in (needs.labeled, needs.unlabeled)]
        pseudo = StrategyTests.has_pseudo_labels(strategy, step)
        return make_batch(sizes[0], sizes[1], seed, needs.targets, pseudo, task_of(strategy).patch_size)

    @staticmethod
    def has_pseudo_labels(strategy: Strategy, step: Step) -> bool:
        """Return whether samples have pseudo-labels at a step: of an earlier stage, or of another model."""
        of_stage = next(stage.pseudo_labels for stage in strategy.stages() if stage.name == step.stage)
        return of_stage or strategy.batch_needs(strategy.options).external_pseudo

    @staticmethod
    def trained(strategy: Strategy) -> set[str]:
        """Return the names of the trained roles."""
        return {role.name for role in strategy.roles(strategy.options) if role.trained}

    @classmethod
    def updated(cls, strategy: Strategy, batch: Batch, step: Step) -> set[str]:
        """Return the names of the roles that the losses of a step update."""
        trained, updated = cls.trained(strategy), set[str]()
        for losses in strategy.losses(batch, step):
            updated |= trained if losses.updated is None else losses.updated
        return updated

    @classmethod
    def gradients(cls, strategy: Strategy, batch: Batch, step: Step, seed: int = 0) -> dict[str, Tensor | None]:
        """Return gradients by parameter, as gathered by the engine; ``seed`` is torch's seed outside of networks."""
        strategy.zero_grad()
        with cls.drawing(strategy, seed):
            for losses in strategy.losses(batch, step):
                roles = losses.updated if losses.updated is not None else set(strategy.networks)
                inputs = [p for role in sorted(roles) for p in strategy.networks[role].parameters() if p.requires_grad]
                losses.total.backward(inputs=inputs)
        return {name: None if p.grad is None else p.grad.clone() for name, p in strategy.named_parameters()}

    @staticmethod
    @contextmanager
    def drawing(strategy: Strategy, seed: int = 0) -> Iterator[None]:
        """Seed every forward pass as the engine does, by role and number, and torch's own state outside of them."""
        passes: Counter[str] = Counter()

        @contextmanager
        def around(role: str) -> Iterator[None]:
            passes[role] += 1
            torch.manual_seed(derive_seed("network", role, passes[role]))
            yield

        strategy.attach(around)
        torch.manual_seed(seed)
        yield

    def require_repeatable(self, strategy: Strategy, batch: Batch, step: Step) -> None:
        """Require that two calls of ``losses`` agree, so that other comparisons of gradients are meaningful."""
        before = copied(batch)
        first = self.gradients(strategy, batch, step)
        changed = differing(batch, before)
        assert not changed, f"losses modifies its inputs: {', '.join(changed)}"
        second = self.gradients(strategy, before, step, seed=1)
        differ = other_gradients(first, second)
        assert not differ, (
            f"the same step on the same batch gives different gradients the second time, of {differ}:\n"
            "in losses, draw from step.generator only, and leave changes of state to after_step"
        )

    def train(self, strategy: Strategy, start: int, stop: int) -> None:
        """Run a few steps of the engine by plain gradient descent."""
        steps = [self.at(strategy, index, 6) for index in range(start, stop)]
        batches = [(self.batch(strategy, step, step.index), step) for step in steps]
        run_steps(strategy, batches, Runtime("cpu", "32"), lr=0.1)


def task_of(strategy: Strategy) -> Task:
    """Return the task that a strategy was made for."""
    return _TASKS.get(strategy, TASK)


def default_spatial_dims(strategy_class: type[Strategy]) -> int:
    """Return 3, or 2 for a strategy that does not support three axes."""
    return max(strategy_class.spatial_dims)


def other_gradients(ones: Mapping[str, Tensor | None], others: Mapping[str, Tensor | None]) -> str:
    """Return the parameters whose gradients differ in any bit, or are missing on one side: the first and a count."""
    found = [
        name
        for name, one in ones.items()
        if (other := others[name]) is not one and (one is None or other is None or not torch.equal(one, other))
    ]
    return some(found, 1)
