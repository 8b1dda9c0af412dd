"""A strategy under test: how it is made, and the steps that it is given."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor

from semiseg.engine.build import build_networks
from semiseg.engine.runtime import Runtime
from semiseg.engine.schedule import Timetable
from semiseg.interfaces.backbone import Backbone
from semiseg.interfaces.batch import Batch, Step
from semiseg.interfaces.strategy import Strategy
from semiseg.seeding import derive_seed
from semiseg.testing.batches import TASK, copied, differing, make_batch
from semiseg.testing.steps import run_steps
from semiseg.testing.tiny import TinyBackbone
from semiseg.wording import some


class StrategyTests:
    """What all tests of a strategy share."""

    @pytest.fixture
    def strategy_class(self) -> type[Strategy]:
        """The strategy to test."""
        raise NotImplementedError

    @pytest.fixture
    def options(self) -> Mapping[str, Any]:
        """Its options, as in a recipe."""
        return {}

    @pytest.fixture
    def strategy(self, strategy_class: type[Strategy], options: Mapping[str, Any]) -> Strategy:
        """The strategy with one tiny network a role."""
        return self.make(strategy_class, options)

    @staticmethod
    def backbone() -> Backbone:
        """What every role's network is made by."""
        return TinyBackbone()

    @classmethod
    def make(cls, strategy_class: type[Strategy], options: Mapping[str, Any]) -> Strategy:
        """Build a strategy from fixed seeds."""
        chosen = strategy_class.Options.model_validate(options)
        roles = strategy_class.roles(chosen)
        return strategy_class(chosen, build_networks(roles, {role.name: cls.backbone() for role in roles}, TASK, 0))

    @staticmethod
    def timetable(strategy: Strategy, total: int = 100) -> Timetable:
        """Of a training of ``total`` steps."""
        epochs = 10 if total % 10 == 0 else total
        return Timetable(strategy.stages(), epochs, total // epochs, 1, seed=1)

    @classmethod
    def at(cls, strategy: Strategy, index: int, total: int = 100) -> Step:
        """A step of a training of ``total`` steps."""
        return cls.timetable(strategy, total).step(index)

    @staticmethod
    def batch(strategy: Strategy, step: Step, seed: int = 0) -> Batch:
        """A batch that meets the strategy's needs at a step: two groups of each stream, or more."""
        needs = strategy.needs
        sizes = [max(n.minimum, 2 * n.unit) if n.uses else 0 for n in (needs.labeled, needs.unlabeled)]
        return make_batch(sizes[0], sizes[1], seed, needs.targets, StrategyTests.has_pseudo_labels(strategy, step))

    @staticmethod
    def has_pseudo_labels(strategy: Strategy, step: Step) -> bool:
        """Whether a step is of a stage with pseudo-labels."""
        return next(stage.pseudo_labels for stage in strategy.stages() if stage.name == step.stage)

    @staticmethod
    def trained(strategy: Strategy) -> set[str]:
        """The names of the roles that are trained."""
        return {role.name for role in strategy.roles(strategy.options) if role.trained}

    @classmethod
    def updated(cls, strategy: Strategy, batch: Batch, step: Step) -> set[str]:
        """The names of the roles that the losses of a step update."""
        trained, updated = cls.trained(strategy), set[str]()
        for losses in strategy.losses(batch, step):
            updated |= trained if losses.updates is None else losses.updates
        return updated

    @classmethod
    def gradients(cls, strategy: Strategy, batch: Batch, step: Step, seed: int = 0) -> dict[str, Tensor | None]:
        """Gradients by parameter, as the engine gathers them; ``seed`` is torch's outside of networks."""
        passes: Counter[str] = Counter()

        @contextmanager
        def around(role: str) -> Iterator[None]:
            passes[role] += 1
            torch.manual_seed(derive_seed("network", role, passes[role]))
            yield

        strategy.zero_grad()
        strategy.attach(around)
        torch.manual_seed(seed)
        for losses in strategy.losses(batch, step):
            roles = losses.updates if losses.updates is not None else set(strategy.networks)
            inputs = [p for role in sorted(roles) for p in strategy.networks[role].parameters() if p.requires_grad]
            losses.total.backward(inputs=inputs)
        return {name: None if p.grad is None else p.grad.clone() for name, p in strategy.named_parameters()}

    def require_repeatable(self, strategy: Strategy, batch: Batch, step: Step) -> None:
        """What is compared between two calls of ``losses`` would otherwise differ for no other reason."""
        before = copied(batch)
        first = self.gradients(strategy, batch, step)
        changed = differing(batch, before)
        assert not changed, f"losses changes its inputs: {', '.join(changed)}"
        second = self.gradients(strategy, before, step, seed=1)
        differ = other_gradients(first, second)
        assert not differ, (
            "losses draws from something other than step.generator, or changes state, which is for after_step:\n"
            f"the same step on the same batch gives other gradients the second time, of {differ}"
        )

    def train(self, strategy: Strategy, start: int, stop: int) -> None:
        """A few steps of the engine by plain gradient descent."""
        steps = [self.at(strategy, index, 6) for index in range(start, stop)]
        batches = [(self.batch(strategy, step, step.index), step) for step in steps]
        run_steps(strategy, batches, Runtime("cpu", "32"), lr=0.1)


def other_gradients(ones: Mapping[str, Tensor | None], others: Mapping[str, Tensor | None]) -> str:
    """The parameters whose gradients are not equal bit for bit, or not both missing: the first, and how many more."""
    found = [
        name
        for name, one in ones.items()
        if (other := others[name]) is not one and (one is None or other is None or not torch.equal(one, other))
    ]
    return some(found, 1)
