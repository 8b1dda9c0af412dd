"""Contract tests of strategies: all networks learn, and from the intended sources."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from semiseg.interfaces.batch import Step
from semiseg.interfaces.co_training import CoTraining
from semiseg.interfaces.strategy import Strategy
from semiseg.testing.batches import make_batch
from semiseg.testing.strategy_checks.base import StrategyTests, in_2d_and_3d, other_gradients, task_of

LONG = 1000
"""Number of steps in which an untrained network has to change."""


class LearningTests(StrategyTests):
    """Tests that trained networks get gradients, untrained ones change, and pseudo-labels between networks are used."""

    frozen: ClassVar[frozenset[str]] = frozenset()
    """Untrained roles that deliberately never change, such as a pretrained teacher."""

    def test_every_trained_role_is_updated(self, strategy: Strategy) -> None:
        """At the start of some stage or at the end of training, each gets a nonzero gradient."""
        looked = self.looked(strategy)
        updated, moved = set[str](), set[str]()
        taken = [(self.batch(strategy, step), step) for step in (self.at(strategy, index) for index in looked)]
        for batch, step in taken:
            updated |= self.updated(strategy, batch, step)
            gradients = self.gradients(strategy, batch, step)
            moved |= {role for role in strategy.networks if any(map(_is_some, of_role(gradients, role).values()))}
        trained, steps = self.trained(strategy), f"the steps {looked} of 100"
        assert trained <= updated, f"no loss of {steps} updates {_listed(trained - updated)}"
        for role in sorted(trained - moved):  # it may learn only from confident predictions of others
            with others_redrawn(strategy, role):
                found = (of_role(self.gradients(strategy, batch, step), role) for batch, step in taken)
                if any(_is_some(gradient) for gradients in found for gradient in gradients.values()):
                    moved.add(role)
        assert trained <= moved, (
            f"the gradient is 0 in all losses of {steps} for {_listed(trained - moved)},\n"
            "whether the other networks have initial weights or make confident predictions"
        )

    @in_2d_and_3d
    def test_it_trains_without_unlabeled_samples(self, strategy: Strategy) -> None:
        """Without unlabeled cases, all samples of a step are labeled; a micro-batch may also have only labeled ones."""
        needs = strategy.batch_needs(strategy.options)
        always = needs.unlabeled.minimum > 0  # per step, though not in every part of one
        if always and strategy.whole_batch:
            pytest.skip("it always gets whole batches with unlabeled samples")
        labeled = 2 * max(needs.labeled.minimum, needs.labeled.unit)
        looked = sorted({0, 99, *(min(span.start, 99) for span in self.timetable(strategy).spans)})
        learns = False
        for step in (self.at(strategy, index) for index in looked):
            pseudo, size = self.has_pseudo_labels(strategy, step), task_of(strategy).patch_size
            batch = make_batch(labeled, 0, 0, needs.targets, pseudo, size)
            found = list(strategy.losses(batch, step))
            assert found or always, (
                f"no loss without unlabeled samples, at step {step.index} of 100: yield the supervised loss, and 0"
                " for the unsupervised one"
            )
            assert all(torch.isfinite(losses.total) for losses in found), (
                f"a loss is not finite without unlabeled samples, at step {step.index} of 100"
            )
            learns = learns or any(map(_is_some, self.gradients(strategy, batch, step).values()))
        assert learns or always, (
            f"all gradients of the steps {looked} of 100 are 0 without unlabeled samples:"
            " the strategy must learn from labels alone"
        )

    def test_an_untrained_role_changes_unless_declared_frozen(self, strategy: Strategy) -> None:
        """A teacher follows its student: in a short training, or in the ``after_step`` of the steps of a long one."""
        untrained = frozenset(strategy.networks.keys() - self.trained(strategy))
        assert self.frozen <= untrained, (
            f"declared frozen, but not an untrained role: {_listed(self.frozen - untrained)}"
        )
        before = {role: [p.clone() for p in strategy.networks[role].parameters()] for role in untrained}
        self.train(strategy, 0, 6)
        still = frozenset(role for role in untrained if before[role] and _same(before[role], strategy.networks[role]))
        assert self.frozen <= still, f"declared frozen, but changed by six steps: {_listed(self.frozen - still)}"
        for step in self.long(strategy) if still else ():
            self.follow(strategy, step)
            still = frozenset(role for role in still if _same(before[role], strategy.networks[role]))
            changed = self.frozen - still
            assert not changed, f"declared frozen, but changed by step {step.index} of {LONG}: {_listed(changed)}"
            if not still:
                break
        assert still <= self.frozen, (
            f"neither trained nor changed by {LONG} steps: {_listed(still - self.frozen)}\n"
            "Update a moving average in after_step (semiseg.plugin.update_teacher). If a role is meant to keep its\n"
            f"initial weights, declare it in a subclass of the suite: frozen = {still!r}"
        )

    @classmethod
    def long(cls, strategy: Strategy) -> Iterator[Step]:
        """Return all steps of a training long enough for a teacher that is updated rarely or late."""
        timetable = cls.timetable(strategy, LONG)
        return map(timetable.step, range(LONG))

    @classmethod
    def follow(cls, strategy: Strategy, step: Step) -> None:
        """Perform a step without forward and backward: trained networks are changed at random.

        If ``after_step`` fails, ``losses`` is called first, since ``after_step`` may use values gathered there.
        """
        generator = torch.Generator().manual_seed(step.index)
        with torch.no_grad():
            for role in sorted(cls.trained(strategy)):
                for parameter in strategy.networks[role].parameters():
                    parameter.add_(0.01 * torch.randn(parameter.shape, generator=generator))
        try:
            with torch.no_grad():
                strategy.after_step(step)
        except Exception:
            cls.gradients(strategy, cls.batch(strategy, step), step)
            with torch.no_grad():
                strategy.after_step(step)

    def test_each_network_influences_the_others(self, strategy: Strategy) -> None:
        """Each network's gradients depend on the weights of the others (``CoTraining``), which label for it."""
        if not isinstance(strategy, CoTraining):
            pytest.skip("its networks do not label for each other (it is not a CoTraining)")
        steps = [self.at(strategy, index) for index in reversed(self.looked(strategy))]
        taught = [step for step in steps if strategy.uses_pseudo_labels(step)]
        if not taught:
            pytest.skip("no step of a training of 10 epochs uses pseudo-labels")
        unheard = set(strategy.networks)
        for step in taught:
            batch = self.batch(strategy, step)
            expected = self.gradients(strategy, batch, step)
            for role in sorted(unheard):  # networks may take turns
                with others_redrawn(strategy, role):
                    found = self.gradients(strategy, batch, step)
                if other_gradients(of_role(expected, role), of_role(found, role)):
                    unheard.remove(role)
        for role in strategy.networks:
            assert role not in unheard, (
                f"{role} learns nothing from {_listed(strategy.networks.keys() - {role})}: its gradients do not"
                f" depend on their weights\nat the steps {sorted(step.index for step in taught)} of 100. Its loss must"
                " use `pseudo_labels`, which come from the other networks."
            )

    @classmethod
    def looked(cls, strategy: Strategy) -> list[int]:
        """Return steps of a training of 100: two at the start of each stage, and the last two."""
        spans = cls.timetable(strategy).spans
        return sorted({98, 99, *(min(span.start + more, 99) for span in spans for more in (0, 1))})


def of_role(gradients: dict[str, Tensor | None], role: str) -> dict[str, Tensor | None]:
    """Return the gradients of one network."""
    return {name: gradient for name, gradient in gradients.items() if name.startswith(f"networks.{role}.")}


@contextmanager
def others_redrawn(strategy: Strategy, role: str) -> Iterator[None]:
    """Replace the weights of every network but one within the block; the state is restored afterwards."""
    state = {name: value.clone() for name, value in strategy.state_dict().items()}
    for other in strategy.networks.keys() - {role}:
        redraw(strategy.networks[other])
    yield
    strategy.load_state_dict(state)


def redraw(network: torch.nn.Module, seed: int = 1) -> None:
    """Draw new weights, so large that the network's predictions are confident."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(10 * torch.randn(parameter.shape, generator=generator))


def _is_some(gradient: Tensor | None) -> bool:
    return gradient is not None and bool(gradient.any())


def _same(before: Sequence[Tensor], network: torch.nn.Module) -> bool:
    return all(map(torch.equal, before, network.parameters()))


def _listed(roles: frozenset[str] | set[str]) -> str:
    return ", ".join(sorted(roles))
