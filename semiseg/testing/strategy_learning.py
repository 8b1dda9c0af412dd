"""Whether every network of a strategy learns, and from whom: a part of its contract."""

from typing import ClassVar

import pytest
import torch
from torch import Tensor

from semiseg.interfaces.mutual import Mutual
from semiseg.interfaces.strategy import Strategy
from semiseg.testing.batches import make_batch
from semiseg.testing.strategy_base import StrategyTests, other_gradients


class LearningTests(StrategyTests):
    """Tests that trained networks get gradients, that others move, and that networks which teach are heard."""

    frozen: ClassVar[frozenset[str]] = frozenset()
    """To be set to roles that are not trained and stay as they begin by intention: a teacher trained before, say."""

    def test_every_trained_role_is_updated(self, strategy: Strategy) -> None:
        """In one stage or another, by a gradient that is not 0: where a stage begins, or at the end of the training."""
        looked = self.looked(strategy)
        updated, moved = set[str](), set[str]()
        for step in (self.at(strategy, index) for index in looked):
            batch = self.batch(strategy, step)
            updated |= self.updated(strategy, batch, step)
            gradients = self.gradients(strategy, batch, step)
            moved |= {role for role in strategy.networks if any(map(_is_some, of_role(gradients, role).values()))}
        trained, steps = self.trained(strategy), f"the steps {looked} of 100"
        assert trained <= updated, f"no loss of {steps} updates {_listed(trained - updated)}"
        assert trained <= moved, f"in all losses of {steps} the gradient is 0 for {_listed(trained - moved)}"

    @pytest.mark.parametrize("index", [0, 99])
    def test_it_trains_where_nothing_is_unlabeled(self, strategy: Strategy, index: int) -> None:
        """All samples of a step are labeled where a recipe has no unlabeled case; so may a micro-batch be."""
        step = self.at(strategy, index)
        labeled = 2 * max(strategy.needs.labeled.minimum, strategy.needs.labeled.unit)
        batch = make_batch(labeled, 0, 0, strategy.needs.targets)
        found = list(strategy.losses(batch, step))
        assert found, "there is no loss where nothing is unlabeled: yield the supervised one, and 0 for the other"
        assert all(torch.isfinite(losses.total) for losses in found)
        learns = any(map(_is_some, self.gradients(strategy, batch, step).values()))
        assert learns, "all gradients are 0 where nothing is unlabeled: labels are to be learned from"

    def test_an_untrained_role_changes_unless_declared_frozen(self, strategy: Strategy) -> None:
        """A teacher follows its student; the whole of a short training is looked at."""
        untrained = strategy.networks.keys() - self.trained(strategy)
        assert self.frozen <= untrained, f"declared frozen, but no untrained role: {_listed(self.frozen - untrained)}"
        before = {role: [p.clone() for p in strategy.networks[role].parameters()] for role in untrained}
        self.train(strategy, 0, 6)
        after = {role: strategy.networks[role].parameters() for role in untrained}
        still = frozenset(
            role for role in untrained if before[role] and all(map(torch.equal, before[role], after[role]))
        )
        assert still <= self.frozen, (
            f"neither trained nor changed by six steps: {_listed(still - self.frozen)}\n"
            "A moving average is made in after_step (semiseg.methods.ema.update_teacher). A role that is to stay as\n"
            f"it begins is declared, in a subclass of the suite: frozen = {still!r}"
        )
        assert self.frozen <= still, f"declared frozen, but changed by six steps: {_listed(self.frozen - still)}"

    def test_networks_that_teach_one_another_are_heard(self, strategy: Strategy) -> None:
        """Each one's gradients depend on the weights of the others (``Mutual``), since its lessons are theirs."""
        if not isinstance(strategy, Mutual):
            pytest.skip("its networks do not teach one another (it is no Mutual)")
        steps = [self.at(strategy, index) for index in reversed(self.looked(strategy))]
        taught = [step for step in steps if strategy.lessons_needed(step)]
        if not taught:
            pytest.skip("no step of a training of 10 epochs needs lessons")
        step = taught[0]
        batch = self.batch(strategy, step)
        expected = self.gradients(strategy, batch, step)
        state = {name: value.clone() for name, value in strategy.state_dict().items()}
        for role in strategy.networks:
            others = strategy.networks.keys() - {role}
            for other in others:
                redraw(strategy.networks[other])
            found = self.gradients(strategy, batch, step)
            strategy.load_state_dict(state)
            differ = other_gradients(of_role(expected, role), of_role(found, role))
            assert differ, (
                f"{role} learns nothing from {_listed(others)}: with other weights there its gradients are the same\n"
                f"at step {step.index} of 100. Its loss has to use `lessons`, which are those of the others."
            )

    @classmethod
    def looked(cls, strategy: Strategy) -> list[int]:
        """Steps of a training of 100: two where each stage begins, and the last two."""
        spans = cls.timetable(strategy).spans
        return sorted({98, 99, *(min(span.start + more, 99) for span in spans for more in (0, 1))})


def of_role(gradients: dict[str, Tensor | None], role: str) -> dict[str, Tensor | None]:
    """The gradients of one network."""
    return {name: gradient for name, gradient in gradients.items() if name.startswith(f"networks.{role}.")}


def redraw(network: torch.nn.Module) -> None:
    """Other weights, so large that the network is sure of what it predicts."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(10 * torch.randn(parameter.shape, generator=generator))


def _is_some(gradient: Tensor | None) -> bool:
    return gradient is not None and bool(gradient.any())


def _listed(roles: frozenset[str] | set[str]) -> str:
    return ", ".join(sorted(roles))
