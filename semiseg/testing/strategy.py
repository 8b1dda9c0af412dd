"""Contract tests of strategies; subclass them in your package's tests."""

import math
import pickle
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from semiseg.engine.runtime import Runtime
from semiseg.engine.step_modes import ModeName, StepMode, micro_batches
from semiseg.interfaces.co_training import CoTraining
from semiseg.interfaces.strategy import Strategy
from semiseg.testing.batches import CLASSES, SIZE, TASK, TASKS, in_double, make_batch, poisoned
from semiseg.testing.steps import in_two_processes, run_steps
from semiseg.testing.strategy_checks.base import in_2d_and_3d, other_gradients, task_of
from semiseg.testing.strategy_checks.budget import BudgetTests
from semiseg.testing.strategy_checks.learning import LearningTests
from semiseg.testing.strategy_checks.schedule import ScheduleTests
from semiseg.testing.strategy_checks.state import StateTests
from semiseg.types import IGNORE

__all__ = ["CLASSES", "SIZE", "TASK", "StrategyContract", "make_batch"]


class StrategyContract(LearningTests, ScheduleTests, BudgetTests, StateTests):
    """Contract tests of a strategy. Provide a ``strategy_class`` fixture, and ``options`` other than the defaults."""

    def test_numbers_of_spatial_axes_are_known(self, strategy_class: type[Strategy]) -> None:
        """``spatial_dims`` contains 2, 3 or both."""
        assert strategy_class.spatial_dims
        assert strategy_class.spatial_dims <= {2, 3}

    @pytest.mark.parametrize("index", [0, 50, 99])
    @in_2d_and_3d
    def test_losses_are_finite_scalars(self, strategy: Strategy, index: int) -> None:
        """At the start, middle and end of training; parts are scalars without gradient."""
        step = self.at(strategy, index)
        found = list(strategy.losses(self.batch(strategy, step), step))
        assert found
        for losses in found:
            assert strategy.whole_batch or not losses.of_whole_batch, (
                f"{', '.join(losses.of_whole_batch)}: a loss of the whole batch, not one value per sample"
                " (Term); set whole_batch = True if that is intended"
            )
            assert losses.total.shape == ()
            assert torch.isfinite(losses.total)
            assert all(not part.requires_grad and part.shape == () for part in losses.parts.values())

    @pytest.mark.parametrize("index", [0, 99])
    @in_2d_and_3d
    def test_gradients_reach_what_is_updated(self, strategy: Strategy, index: int) -> None:
        """Every parameter of a role that a loss of the step updates has a finite gradient; others have none."""
        step = self.at(strategy, index)
        updated = self.updated(strategy, self.batch(strategy, step), step)
        gradients = self.gradients(strategy, self.batch(strategy, step), step)
        for role in strategy.networks:
            mine = {name: g for name, g in gradients.items() if name.startswith(f"networks.{role}.")}
            for name, gradient in mine.items():
                assert (gradient is not None) == (role in updated), name
                assert gradient is None or torch.isfinite(gradient).all(), name

    @in_2d_and_3d
    def test_no_gradient_leaks(self, strategy: Strategy) -> None:
        """No gradient reaches an untrained role, or flows from one network's loss into those that labeled for it."""
        step, roles = self.at(strategy, 99), strategy.roles(strategy.options)
        strategy.requires_grad_()
        for losses in strategy.losses(self.batch(strategy, step), step):
            strategy.zero_grad()
            losses.total.backward()
            foreign = {role.name for role in roles if not role.trained}
            if isinstance(strategy, CoTraining) and losses.updated is not None:
                foreign |= {role.name for role in roles} - losses.updated
            for role in foreign:
                assert all(p.grad is None for p in strategy.networks[role].parameters()), role

    @pytest.mark.parametrize("index", [0, 99])
    @in_2d_and_3d
    def test_a_step_can_be_repeated(self, strategy: Strategy, index: int) -> None:
        """The same batch gives the same gradients again, and is not modified."""
        self.train(strategy, 0, 2)  # so that networks that start as copies differ
        step = self.at(strategy, index)
        self.require_repeatable(strategy, self.batch(strategy, step), step)

    @in_2d_and_3d
    def test_labels_of_unlabeled_samples_change_nothing(self, strategy: Strategy) -> None:
        """Wrong labels and targets in the unlabeled stream do not change the gradients."""
        self.train(strategy, 0, 2)
        step = self.at(strategy, 99)
        self.require_repeatable(strategy, self.batch(strategy, step), step)
        batch = self.batch(strategy, step)
        other = poisoned(batch, strategy.batch_needs(strategy.options).targets)
        expected, found = (self.gradients(strategy, one, step) for one in (batch, other))
        leaking = other_gradients(expected, found)
        assert not leaking, f"labels of unlabeled samples change the gradients of {leaking}"

    def test_a_loss_updates_only_the_roles_it_names(self, strategy: Strategy) -> None:
        """Roles named in ``updates`` exist and are trained."""
        trained = self.trained(strategy)
        step = self.at(strategy, 99)
        for losses in strategy.losses(self.batch(strategy, step), step):
            assert losses.updated is None or (losses.updated and losses.updated <= trained)

    @in_2d_and_3d
    def test_micro_batches_add_up_to_the_whole_batch(self, strategy: Strategy) -> None:
        """Gradients of micro-batches add up to the whole batch's, unless the strategy declares ``whole_batch``."""
        if strategy.whole_batch:
            pytest.skip("the strategy declares whole_batch")
        strategy.double()
        step = self.at(strategy, 99)
        whole = in_double(self.batch(strategy, step))
        expected = self.gradients(strategy, whole, step)
        total: dict[str, Tensor] = {}
        for part in micro_batches(whole, 1, strategy.batch_needs(strategy.options)):
            for name, gradient in self.gradients(strategy, part, step).items():
                if gradient is not None:
                    total[name] = total.get(name, torch.zeros_like(gradient)) + gradient
        for name, gradient in expected.items():
            if gradient is not None:
                assert torch.allclose(total[name], gradient, atol=1e-12, rtol=1e-9), name

    @in_2d_and_3d
    def test_declared_modes_give_the_joint_step(
        self, strategy_class: type[Strategy], options: Mapping[str, Any], spatial_dims: int
    ) -> None:
        """Every declared step mode for a single process leads to the weights of the joint step."""
        assert strategy_class.exact <= {"alternating", "split"}
        assert issubclass(strategy_class, CoTraining) or not strategy_class.exact & {"alternating", "split"}
        sizes = (None,) if strategy_class.whole_batch else (None, 3, 2)
        names: tuple[ModeName, ...] = ("joint", "alternating") if "alternating" in strategy_class.exact else ("joint",)
        modes = [StepMode(name, size) for name in names for size in sizes]
        weights = [self.stepped(strategy_class, options, mode, spatial_dims) for mode in modes]
        for other in weights[1:]:
            for key, value in weights[0].items():
                assert torch.allclose(other[key], value, atol=1e-12, rtol=1e-9), key

    def stepped(
        self, strategy_class: type[Strategy], options: Mapping[str, Any], mode: StepMode, spatial_dims: int
    ) -> dict[str, Tensor]:
        """Return the state after one step of the engine by plain gradient descent, in float64."""
        strategy = self.make(strategy_class, options, spatial_dims).double()
        step = self.at(strategy, 99)
        run_steps(strategy, [(in_double(self.batch(strategy, step)), step)], Runtime("cpu", "32"), mode)
        return strategy.state_dict()

    def test_it_trains_in_bf16(self, strategy: Strategy) -> None:
        """Under autocast, losses are finite and weights stay float32."""
        steps = [self.at(strategy, index) for index in (0, 99)]
        batches = [(self.batch(strategy, step), step) for step in steps]
        for totals in run_steps(strategy, batches, Runtime("cpu", "bf16"), lr=0.01):
            assert all(map(math.isfinite, totals.values()))
        assert all(p.dtype == torch.float32 for p in strategy.parameters())

    def test_two_processes_train_as_one(self, strategy_class: type[Strategy], options: Mapping[str, Any]) -> None:
        """Two processes that share each batch both arrive at the weights of one process with the whole batch."""
        if strategy_class.whole_batch:
            pytest.skip("its losses need the whole batch, so runs in several processes are refused")
        strategy = self.make(strategy_class, options).double()
        steps = [self.at(strategy, index) for index in (0, 98, 99)]
        needs = strategy.batch_needs(strategy.options)
        batches = []
        for step, groups in zip(steps, (2, 1 if needs.unlabeled.uses else 2, 2), strict=True):
            # With one group per stream, one process has the labeled samples and the other the unlabeled ones.
            sizes = [groups * max(n.minimum, n.unit) if n.uses else 0 for n in (needs.labeled, needs.unlabeled)]
            size = task_of(strategy).patch_size
            pseudo = self.has_pseudo_labels(strategy, step)
            batch = make_batch(sizes[0], sizes[1], step.index, needs.targets, pseudo, size)
            batches.append((in_double(batch), step))
        start = partial(self.make, strategy_class, options)
        one, two = in_two_processes(start, batches)
        run_steps(strategy, batches, Runtime("cpu", "32"))
        for key, value in strategy.state_dict().items():
            assert torch.equal(one[key], two[key]), key
            assert torch.allclose(one[key], value, atol=1e-10, rtol=1e-8), key

    @in_2d_and_3d
    def test_prediction_is_a_probability(self, strategy: Strategy) -> None:
        """(B, K, \\*spatial), in [0, 1], summing to 1; repeatable in eval mode."""
        predicts = strategy.can_predict(strategy.options)
        assert predicts, "no role predicts: set predicts=True on one, or override predict"
        size = task_of(strategy).patch_size
        images = make_batch(size=size).images()
        strategy.eval()
        with torch.no_grad():
            one, two = strategy.predict(images), strategy.predict(images)
        assert one.shape == (4, CLASSES, *size)
        assert torch.allclose(one.sum(1), torch.ones(4, *size), atol=1e-5)
        assert (one >= 0).all()
        assert torch.equal(one, two)

    @in_2d_and_3d
    def test_regions_as_outputs(
        self, strategy_class: type[Strategy], options: Mapping[str, Any], spatial_dims: int
    ) -> None:
        """With overlapping regions as outputs, losses are finite, and probabilities are not those of classes."""
        if strategy_class.no_regions:
            pytest.skip(f"the strategy declares no_regions: {strategy_class.no_regions}")
        task = replace(TASKS[spatial_dims], regions={"all": (1, 2), "inner": (2,)})
        strategy = self.make(strategy_class, options, task=task)
        for index in (0, 99):
            step = self.at(strategy, index)
            for losses in strategy.losses(self.batch(strategy, step), step):
                assert torch.isfinite(losses.total)
        with torch.no_grad():
            predicted = strategy.eval().predict(make_batch(size=task.patch_size).images())
        assert predicted.shape == (4, 2, *task.patch_size)
        assert ((predicted >= 0) & (predicted <= 1)).all()
        assert not torch.allclose(predicted.sum(1), torch.ones(4, *task.patch_size), atol=1e-3), (
            "probabilities of overlapping regions sum to 1: take them from self.probabilities"
        )

    @in_2d_and_3d
    def test_ignored_voxels_of_external_pseudo_labels(self, strategy: Strategy) -> None:
        """Pseudo-labels of another model may contain IGNORE, in a few voxels or in all: losses are finite."""
        if not strategy.batch_needs(strategy.options).external_pseudo:
            pytest.skip("the strategy takes no pseudo-labels of another model (BatchNeeds.external_pseudo)")
        for step in (self.at(strategy, index) for index in (0, 99)):
            batch = self.batch(strategy, step)
            assert batch.unlabeled.pseudo is not None
            for share in (0.5, 1.0):
                drawn = torch.rand(batch.unlabeled.pseudo.shape, generator=torch.Generator().manual_seed(0))
                pseudo = torch.where(drawn < share, IGNORE, batch.unlabeled.pseudo)
                other = replace(batch, unlabeled=replace(batch.unlabeled, pseudo=pseudo, has_ignored=True))
                for losses in strategy.losses(other, step):
                    assert torch.isfinite(losses.total), (
                        f"at step {step.index} of 100, with {share:.0%} of the voxels of batch.unlabeled.pseudo ignored"
                        " (IGNORE): leave them out, by has_ignored=batch.unlabeled.has_ignored in losses by name"
                    )

    def test_targets_can_be_sent_to_worker_processes(self, strategy: Strategy) -> None:
        """They are pickled, which works for functions of a module but not for lambdas or nested functions."""
        for target in strategy.batch_needs(strategy.options).targets:
            try:
                pickle.loads(pickle.dumps(target))
            except Exception as error:  # pickle's errors have no common base class
                raise AssertionError(f"target {target.name!r} cannot be pickled: {error}") from error

    def test_stages_share_the_training(self, strategy: Strategy) -> None:
        """Shares add up to 1, and names differ."""
        stages = strategy.stages()
        assert abs(sum(stage.share for stage in stages) - 1) < 1e-6
        assert len({stage.name for stage in stages}) == len(stages)

    def test_unknown_options_are_refused(self, strategy_class: type[Strategy]) -> None:
        """A misspelled option is an error."""
        with pytest.raises(ValidationError):
            strategy_class.Options.model_validate({"no_such_option": 1})
