"""What every strategy has to do; subclass it in your package's tests."""

import io
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from semiseg.engine.modes import ModeName, StepMode
from semiseg.engine.runtime import Runtime
from semiseg.engine.step import StepRunner
from semiseg.interfaces.batch import Batch, LabeledStream, Step, UnlabeledStream
from semiseg.interfaces.mutual import Mutual
from semiseg.interfaces.strategy import Strategy

CLASSES = 3
SIZE = (8, 8, 8)


class TinyNet(nn.Module):
    """A network that is large enough to have gradients everywhere: 2 channels in, 3 classes out."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv3d(2, 4, 3, padding=1), nn.Tanh(), nn.Conv3d(4, CLASSES, 1))

    def forward(self, images: Tensor) -> Tensor:
        """(B, 2, X, Y, Z) to (B, 3, X, Y, Z)."""
        logits: Tensor = self.layers(images)
        return logits


def make_batch(labeled: int = 2, unlabeled: int = 2, seed: int = 0) -> Batch:
    """Noise with random labels."""
    generator = torch.Generator().manual_seed(seed)
    total = labeled + unlabeled
    images = torch.randn((total, 2, *SIZE), generator=generator)
    labels = torch.randint(0, CLASSES, (labeled, *SIZE), generator=generator)
    slots, cases = tuple(range(total)), tuple(f"case{i}" for i in range(total))
    return Batch(
        LabeledStream(images[:labeled], labeled, slots[:labeled], cases[:labeled], labels),
        UnlabeledStream(images[labeled:], unlabeled, slots[labeled:], cases[labeled:]),
    )


class StrategyContract:
    """Tests of a strategy. Give it a ``strategy_class`` fixture, and ``options`` where the defaults do not do."""

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
    def make(strategy_class: type[Strategy], options: Mapping[str, Any]) -> Strategy:
        """Build a strategy from fixed seeds."""
        chosen = strategy_class.Options.model_validate(options)
        networks = {}
        with torch.random.fork_rng(devices=[]):
            for seed, role in enumerate(strategy_class.roles(chosen)):
                torch.manual_seed(seed)
                networks[role.name] = TinyNet().requires_grad_(role.trained)
        for role in strategy_class.roles(chosen):
            if role.initialized_like is not None:
                networks[role.name].load_state_dict(networks[role.initialized_like].state_dict())
        return strategy_class(chosen, networks)

    @staticmethod
    def at(index: int, total: int = 100) -> Step:
        """A step of a training of 100."""
        return Step(index, total, 10, stage_index=index, stage_total=total, seed=1)

    @staticmethod
    def batch(strategy: Strategy, seed: int = 0) -> Batch:
        """A batch that meets the strategy's needs."""
        labeled, unlabeled = strategy.needs.labeled, strategy.needs.unlabeled
        sizes = [max(need.minimum, need.unit, 2) if need.uses else 0 for need in (labeled, unlabeled)]
        return make_batch(sizes[0], sizes[1], seed)

    def gradients(self, strategy: Strategy, batch: Batch, step: Step) -> dict[str, Tensor | None]:
        """Gradients by parameter, as the engine gathers them."""
        strategy.zero_grad()
        torch.manual_seed(0)
        for losses in strategy.losses(batch, step):
            roles = losses.updates if losses.updates is not None else set(strategy.networks)
            inputs = [p for role in sorted(roles) for p in strategy.networks[role].parameters() if p.requires_grad]
            losses.total.backward(inputs=inputs)
        return {name: None if p.grad is None else p.grad.clone() for name, p in strategy.named_parameters()}

    @pytest.mark.parametrize("index", [0, 50, 99])
    def test_losses_are_finite_scalars(self, strategy: Strategy, index: int) -> None:
        """At the start, the middle and the end; parts are scalars without gradient."""
        found = list(strategy.losses(self.batch(strategy), self.at(index)))
        assert found
        for losses in found:
            assert losses.total.shape == ()
            assert torch.isfinite(losses.total)
            assert all(not part.requires_grad and part.shape == () for part in losses.parts.values())

    def test_gradients_reach_what_is_trained_and_nothing_else(self, strategy: Strategy) -> None:
        """Every trained role has gradients; a role that is not trained has none."""
        gradients = self.gradients(strategy, self.batch(strategy), self.at(99))
        for role in strategy.roles(strategy.options):
            mine = [g for name, g in gradients.items() if name.startswith(f"networks.{role.name}.")]
            assert all((g is not None and torch.isfinite(g).all()) == role.trained for g in mine), role.name

    def test_a_loss_updates_only_the_roles_it_names(self, strategy: Strategy) -> None:
        """Roles named in ``updates`` exist and are trained."""
        trained = {role.name for role in strategy.roles(strategy.options) if role.trained}
        for losses in strategy.losses(self.batch(strategy), self.at(99)):
            assert losses.updates is None or (losses.updates and losses.updates <= trained)

    def test_counts_make_micro_batches_add_up(self, strategy: Strategy) -> None:
        """Where the strategy says micro-batches are exact: their gradients add up to the whole batch's."""
        if "micro_batch" not in strategy.exact:
            pytest.skip("the strategy does not declare micro_batch")
        strategy.double()
        whole = self.batch(strategy).apply(lambda t: t.double() if t.is_floating_point() else t)
        expected = self.gradients(strategy, whole, self.at(99))
        total: dict[str, Tensor] = {}
        for part in (slice(0, 1), slice(1, None)):
            for name, gradient in self.gradients(strategy, whole.part(part, part), self.at(99)).items():
                if gradient is not None:
                    total[name] = total.get(name, torch.zeros_like(gradient)) + gradient
        for name, gradient in expected.items():
            if gradient is not None:
                assert torch.allclose(total[name], gradient, atol=1e-12, rtol=1e-9), name

    def test_declared_modes_give_the_joint_step(
        self, strategy_class: type[Strategy], options: Mapping[str, Any]
    ) -> None:
        """Every step mode that is declared, and needs one process, leads to the joint step's weights."""
        assert strategy_class.exact <= {"joint", "alternating", "split", "micro_batch"}
        assert issubclass(strategy_class, Mutual) or not strategy_class.exact & {"alternating", "split"}
        sizes = (None, 3, 2) if "micro_batch" in strategy_class.exact else (None,)
        names: tuple[ModeName, ...] = ("joint", "alternating") if "alternating" in strategy_class.exact else ("joint",)
        weights = [self.stepped(strategy_class, options, StepMode(name, size)) for name in names for size in sizes]
        for other in weights[1:]:
            for key, value in weights[0].items():
                assert torch.allclose(other[key], value, atol=1e-12, rtol=1e-9), key

    def stepped(self, strategy_class: type[Strategy], options: Mapping[str, Any], mode: StepMode) -> dict[str, Tensor]:
        """The state after one step of the engine by plain gradient descent, in float64."""
        strategy = self.make(strategy_class, options).double()
        batch = self.batch(strategy).apply(lambda t: t.double() if t.is_floating_point() else t)
        trained = [role.name for role in strategy_class.roles(strategy.options) if role.trained]
        optimizers = {name: torch.optim.SGD(strategy.networks[name].parameters(), lr=1.0) for name in trained}
        StepRunner(strategy, optimizers, Runtime("cpu", "32"), mode)(batch, self.at(99))
        return strategy.state_dict()

    def test_state_continues_after_a_round_trip(
        self, strategy_class: type[Strategy], options: Mapping[str, Any]
    ) -> None:
        """State saved, loaded with ``weights_only``, and trained on gives the same weights bit for bit."""
        one = self.make(strategy_class, options)
        self.train(one, 0, 3)
        buffer = io.BytesIO()
        torch.save(one.state_dict(), buffer)
        buffer.seek(0)
        other = self.make(strategy_class, options)
        other.load_state_dict(torch.load(buffer, weights_only=True))
        self.train(one, 3, 6)
        self.train(other, 3, 6)
        for key, value in one.state_dict().items():
            assert torch.equal(value, other.state_dict()[key]), key

    def train(self, strategy: Strategy, start: int, stop: int) -> None:
        """A few steps of plain gradient descent."""
        for index in range(start, stop):
            gradients = self.gradients(strategy, self.batch(strategy, index), self.at(index, 6))
            with torch.no_grad():
                for name, parameter in strategy.named_parameters():
                    gradient = gradients[name]
                    if gradient is not None:
                        parameter.sub_(0.1 * gradient)
                strategy.after_step(self.at(index, 6))

    def test_prediction_is_a_probability(self, strategy: Strategy) -> None:
        """(B, K, X, Y, Z), in [0, 1], summing to 1; the same twice in eval mode."""
        images = make_batch().images()
        strategy.eval()
        with torch.no_grad():
            one, two = strategy.predict(images), strategy.predict(images)
        assert one.shape == (4, CLASSES, *SIZE)
        assert torch.allclose(one.sum(1), torch.ones(4, *SIZE), atol=1e-5)
        assert (one >= 0).all()
        assert torch.equal(one, two)

    def test_stages_share_the_training(self, strategy: Strategy) -> None:
        """Shares add up to 1, and names differ."""
        stages = strategy.stages()
        assert abs(sum(stage.share for stage in stages) - 1) < 1e-6
        assert len({stage.name for stage in stages}) == len(stages)

    def test_unknown_options_are_refused(self, strategy_class: type[Strategy]) -> None:
        """A misspelt option is an error."""
        with pytest.raises(ValidationError):
            strategy_class.Options.model_validate({"no_such_option": 1})
