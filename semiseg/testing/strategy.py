"""What every strategy has to do; subclass it in your package's tests."""

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any, cast

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from semiseg.engine.build import build_networks
from semiseg.engine.micro import micro_batches
from semiseg.engine.modes import ModeName, StepMode
from semiseg.engine.runtime import Runtime
from semiseg.engine.schedule import Timetable
from semiseg.interfaces.backbone import Backbone
from semiseg.interfaces.batch import Batch, LabeledStream, Step, UnlabeledStream
from semiseg.interfaces.mutual import Mutual
from semiseg.interfaces.strategy import Strategy, Target
from semiseg.testing.steps import in_two_processes, run_steps
from semiseg.testing.tiny import TinyBackbone
from semiseg.types import Task

CLASSES = 3
SIZE = (8, 8, 8)


TASK = Task(2, tuple(f"class {index}" for index in range(CLASSES)), SIZE)


def make_batch(
    labeled: int = 2, unlabeled: int = 2, seed: int = 0, targets: Sequence[Target] = (), pseudo: bool = False
) -> Batch:
    """Noise with random labels, with targets made of them, and pseudo-labels where asked for."""
    generator = torch.Generator().manual_seed(seed)
    total = labeled + unlabeled
    images = torch.randn((total, 2, *SIZE), generator=generator)
    drawn = torch.randint(0, CLASSES, (total, *SIZE), generator=generator)
    made = {target.name: target.make(drawn[:labeled], CLASSES) for target in targets}
    slots, cases = tuple(range(total)), tuple(f"case{i}" for i in range(total))
    return Batch(
        LabeledStream(images[:labeled], labeled, slots[:labeled], cases[:labeled], drawn[:labeled], made),
        UnlabeledStream(
            images[labeled:], unlabeled, slots[labeled:], cases[labeled:], drawn[labeled:] if pseudo else None
        ),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Poisoned(UnlabeledStream):
    """Unlabeled samples that have what they must not: a label, and targets."""

    label: Tensor | None = None
    targets: Mapping[str, Tensor] = field(default_factory=dict)


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
    def at(strategy: Strategy, index: int, total: int = 100) -> Step:
        """A step of a training of ``total`` steps."""
        epochs = 10 if total % 10 == 0 else total
        return Timetable(strategy.stages(), epochs, total // epochs, 1, seed=1).step(index)

    @staticmethod
    def batch(strategy: Strategy, step: Step, seed: int = 0) -> Batch:
        """A batch that meets the strategy's needs at a step: two groups of each stream, or more."""
        needs = strategy.needs
        sizes = [max(n.minimum, 2 * n.unit) if n.uses else 0 for n in (needs.labeled, needs.unlabeled)]
        pseudo = next(stage.pseudo_labels for stage in strategy.stages() if stage.name == step.stage)
        return make_batch(sizes[0], sizes[1], seed, needs.targets, pseudo)

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
        step = self.at(strategy, index)
        found = list(strategy.losses(self.batch(strategy, step), step))
        assert found
        for losses in found:
            assert losses.total.shape == ()
            assert torch.isfinite(losses.total)
            assert all(not part.requires_grad and part.shape == () for part in losses.parts.values())

    @pytest.mark.parametrize("index", [0, 99])
    def test_gradients_reach_what_is_trained(self, strategy: Strategy, index: int) -> None:
        """Every parameter of a trained role has a finite gradient; a role that is not trained has none."""
        step = self.at(strategy, index)
        gradients = self.gradients(strategy, self.batch(strategy, step), step)
        for role in strategy.roles(strategy.options):
            mine = {name: g for name, g in gradients.items() if name.startswith(f"networks.{role.name}.")}
            for name, gradient in mine.items():
                assert (gradient is not None) == role.trained, name
                assert gradient is None or torch.isfinite(gradient).all(), name

    def test_no_gradient_leaks(self, strategy: Strategy) -> None:
        """Not into a role that is not trained, nor from one network's loss into those that taught it."""
        step, roles = self.at(strategy, 99), strategy.roles(strategy.options)
        strategy.requires_grad_()
        for losses in strategy.losses(self.batch(strategy, step), step):
            strategy.zero_grad()
            losses.total.backward()
            foreign = {role.name for role in roles if not role.trained}
            if isinstance(strategy, Mutual) and losses.updates is not None:
                foreign |= {role.name for role in roles} - losses.updates
            for role in foreign:
                assert all(p.grad is None for p in strategy.networks[role].parameters()), role

    def test_labels_of_unlabeled_samples_change_nothing(self, strategy: Strategy) -> None:
        """A stream that had labels and targets, wrong ones, would be learned from as one that has none."""
        step = self.at(strategy, 99)
        batch = self.batch(strategy, step)
        stream = batch.unlabeled
        values = [getattr(stream, entry.name) for entry in fields(stream)]
        labels = torch.full((len(stream), *SIZE), CLASSES - 1)
        targets = {target.name: target.make(labels, CLASSES) for target in strategy.needs.targets}
        expected = self.gradients(strategy, batch, step)
        poisoned: Any = _Poisoned
        found = self.gradients(strategy, replace(batch, unlabeled=poisoned(*values, labels, targets)), step)
        for name, gradient in expected.items():
            assert (gradient is None) == (found[name] is None), name
            assert gradient is None or torch.equal(gradient, cast(Tensor, found[name])), name

    def test_a_loss_updates_only_the_roles_it_names(self, strategy: Strategy) -> None:
        """Roles named in ``updates`` exist and are trained."""
        trained = {role.name for role in strategy.roles(strategy.options) if role.trained}
        step = self.at(strategy, 99)
        for losses in strategy.losses(self.batch(strategy, step), step):
            assert losses.updates is None or (losses.updates and losses.updates <= trained)

    @pytest.mark.parametrize("index", [0, 99])
    def test_it_trains_where_nothing_is_unlabeled(self, strategy: Strategy, index: int) -> None:
        """All samples of a step are labeled where a recipe has no unlabeled case; so may a micro-batch be."""
        step = self.at(strategy, index)
        labeled = 2 * max(strategy.needs.labeled.minimum, strategy.needs.labeled.unit)
        for losses in strategy.losses(make_batch(labeled, 0, 0, strategy.needs.targets), step):
            assert torch.isfinite(losses.total)

    def test_counts_make_micro_batches_add_up(self, strategy: Strategy) -> None:
        """Where the strategy says micro-batches are exact: their gradients add up to the whole batch's."""
        if "micro_batch" not in strategy.exact:
            pytest.skip("the strategy does not declare micro_batch")
        strategy.double()
        step = self.at(strategy, 99)
        whole = _double(self.batch(strategy, step))
        expected = self.gradients(strategy, whole, step)
        total: dict[str, Tensor] = {}
        for part in micro_batches(whole, 1, strategy.needs):
            for name, gradient in self.gradients(strategy, part, step).items():
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
        step = self.at(strategy, 99)
        run_steps(strategy, [(_double(self.batch(strategy, step)), step)], Runtime("cpu", "32"), mode)
        return strategy.state_dict()

    def test_it_trains_in_bf16(self, strategy: Strategy) -> None:
        """Under autocast: finite losses, and weights that stay float32."""
        steps = [self.at(strategy, index) for index in (0, 99)]
        batches = [(self.batch(strategy, step), step) for step in steps]
        for totals in run_steps(strategy, batches, Runtime("cpu", "bf16"), lr=0.01):
            assert all(map(math.isfinite, totals.values()))
        assert all(p.dtype == torch.float32 for p in strategy.parameters())

    def test_two_processes_train_as_one(self, strategy_class: type[Strategy], options: Mapping[str, Any]) -> None:
        """Two processes that share each batch come to the weights of one that has all of it, and to the same."""
        if "micro_batch" not in strategy_class.exact:
            pytest.skip("its losses are of a whole batch: a run in several processes is refused")
        strategy = self.make(strategy_class, options).double()
        steps = [self.at(strategy, index) for index in (0, 98, 99)]
        needs = strategy.needs
        sizes = [2 * max(n.minimum, n.unit) if n.uses else 0 for n in (needs.labeled, needs.unlabeled)]
        pseudo = {stage.name: stage.pseudo_labels for stage in strategy.stages()}
        batches = [
            (_double(make_batch(sizes[0], sizes[1], step.index, needs.targets, pseudo[step.stage])), step)
            for step in steps
        ]
        start = partial(self.make, strategy_class, options)
        one, two = in_two_processes(start, batches)
        run_steps(strategy, batches, Runtime("cpu", "32"))
        for key, value in strategy.state_dict().items():
            assert torch.equal(one[key], two[key]), key
            assert torch.allclose(one[key], value, atol=1e-10, rtol=1e-8), key

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
        """A few steps of the engine by plain gradient descent."""
        steps = [self.at(strategy, index, 6) for index in range(start, stop)]
        batches = [(self.batch(strategy, step, step.index), step) for step in steps]
        run_steps(strategy, batches, Runtime("cpu", "32"), lr=0.1)

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


def _double(batch: Batch) -> Batch:
    return batch.apply(lambda t: t.double() if t.is_floating_point() else t)
