"""What the suite of strategies catches of learning and of schedules: strategies wrong in one thing, and right ones."""

import pytest
import torch
from suite_strategies import Right, contract, refusal

from semiseg.interfaces.mutual import Mutual
from semiseg.interfaces.strategy import Losses, Role
from semiseg.losses.named import named_loss
from semiseg.testing.strategy import StrategyContract


class Forgetful(Right):
    """Wrong: its teacher is said to be a moving average, and is never moved. Right where it is declared frozen."""

    def after_step(self, step):
        pass


class Pair(Mutual):
    """Right: two networks, each trained on the other's argmax where that is sure; none is as they begin."""

    @classmethod
    def roles(cls, options):
        return (Role("a"), Role("b"))

    def teach(self, role, output, batch):
        sure, labels = output.softmax(1).max(1)
        return torch.where(sure > 0.9, labels, -100)

    def loss(self, role, output, lessons, batch, step):
        total = output.new_zeros(())
        if len(batch.labeled):
            labeled, _ = batch.divide(output)
            total = total + named_loss(labeled, batch.labeled.label, "dice").sum() / batch.labeled.count
        for lesson in self.chosen(role, output, lessons, batch):
            pseudo = torch.nn.functional.cross_entropy(output, lesson, reduction="none").flatten(1).mean(1)
            total = total + pseudo.sum() / (batch.labeled.count + batch.unlabeled.count)
        return Losses(total, frozenset({role}))

    def chosen(self, role, output, lessons, batch):
        return lessons.values()


class Waiting(Pair):
    """Right: its networks teach one another from the end of a wait on."""

    def lessons_needed(self, step):
        return step.index >= 0.9 * step.total


class OwnLesson(Pair):
    """Wrong: each network learns from what it says itself."""

    def chosen(self, role, output, lessons, batch):
        return [self.lesson(role, output, batch)] if lessons else []


class SwappedLessons(Pair):
    """Wrong: likewise, where the lessons are handed out."""

    exact = frozenset({"micro_batch"})

    def losses(self, batch, step):
        images = batch.images()
        for role in self.networks:
            output = self.run(role, images)
            yield self.loss(role, output, {"other": self.lesson(role, output, batch)}, batch, step)


class RampInSteps(Right):
    """Wrong: its weight rises for 40 steps, whatever their number."""

    def weight(self, step):
        return min(step.index / 40, 1.0)


class RampInBlocks(Right):
    """Wrong: its weight rises as that of SSL4MIS does, once in 150 steps."""

    def weight(self, step):
        return min(step.index // 150 / 200, 1.0)


class WaitInSteps(Right):
    """Wrong: its teacher is heard from step 3000 on."""

    def weight(self, step):
        return float(step.index >= 3000)


class RampInStageSteps(Right):
    """Wrong: its weight rises for 40 steps of a stage."""

    def weight(self, step):
        return min(step.stage_index / 40, 1.0)


class RampInEpochs(Right):
    """Wrong: its weight rises for 40 epochs, whatever their number. Right where that is declared."""

    def weight(self, step):
        return min(step.epoch / 40, 1.0)


class ShareOfTraining(Right):
    """Right: its weight rises by the share of training and of the stage that is done, at every other step."""

    def weight(self, step):
        return step.index * (1 / step.total) + step.progress + step.index % 2


class NothingWithoutUnlabeled(Right):
    """Wrong: it has no loss for a batch that is all labeled."""

    def losses(self, batch, step):
        if len(batch.unlabeled):
            yield from super().losses(batch, step)


class ZeroWithoutUnlabeled(Right):
    """Wrong: its loss for a batch that is all labeled is 0."""

    def losses(self, batch, step):
        for losses in super().losses(batch, step):
            yield losses if len(batch.unlabeled) else Losses(0 * losses.total)


class Zero(Right):
    """Wrong: its loss is always 0."""

    def losses(self, batch, step):
        for losses in super().losses(batch, step):
            yield Losses(0 * losses.total)


class Nothing(Right):
    """Wrong: it has no loss."""

    def losses(self, batch, step):
        yield from ()


class Declared(StrategyContract):
    frozen = frozenset({"teacher"})
    counts_epochs = True


def check_learning(strategy_class, suite=contract):
    suite.test_every_trained_role_is_updated(suite.make(strategy_class, {}))
    suite.test_it_trains_where_nothing_is_unlabeled(suite.make(strategy_class, {}), index=99)
    suite.test_an_untrained_role_changes_unless_declared_frozen(suite.make(strategy_class, {}))


@pytest.mark.parametrize("strategy_class", [Pair, Waiting])
def test_networks_that_teach_one_another_pass(strategy_class):
    check_learning(strategy_class)
    contract.test_networks_that_teach_one_another_are_heard(contract.make(strategy_class, {}))


def test_a_teacher_that_is_declared_frozen_passes():
    check_learning(Forgetful, Declared())


def test_schedules_by_the_share_of_training_pass():
    for check in (contract.test_schedules_do_not_count_steps, contract.test_schedules_do_not_count_epochs):
        for index in (1, 37, 98):
            check(contract.make(ShareOfTraining, {}), index)


def test_a_schedule_in_epochs_passes_where_it_is_declared():
    Declared().test_schedules_do_not_count_steps(contract.make(RampInEpochs, {}), 37)
    with pytest.raises(pytest.skip.Exception, match="it is declared to count epochs"):
        Declared().test_schedules_do_not_count_epochs(contract.make(RampInEpochs, {}), 37)


def test_a_teacher_that_is_never_moved_is_named():
    reason = refusal(contract.test_an_untrained_role_changes_unless_declared_frozen, Forgetful)

    assert reason.startswith("neither trained nor changed by six steps: teacher\n")
    assert "frozen = frozenset({'teacher'})" in reason


@pytest.mark.parametrize(
    ("roles", "reason"),
    [
        ({"teacher"}, "declared frozen, but changed by six steps: teacher"),
        ({"student"}, "declared frozen, but no untrained role: student"),
        ({"techer"}, "declared frozen, but no untrained role: techer"),
    ],
)
def test_what_is_declared_frozen_has_to_be(roles, reason):
    class Frozen(StrategyContract):
        frozen = frozenset(roles)

    assert refusal(Frozen().test_an_untrained_role_changes_unless_declared_frozen, Right).startswith(reason)


@pytest.mark.parametrize("strategy_class", [OwnLesson, SwappedLessons])
def test_a_network_that_learns_from_itself_is_named(strategy_class):
    reason = refusal(contract.test_networks_that_teach_one_another_are_heard, strategy_class)

    assert reason.startswith(
        "a learns nothing from b: with other weights there its gradients are the same\n  at step 99"
    )


@pytest.mark.parametrize("strategy_class", [RampInSteps, RampInBlocks, WaitInSteps, RampInStageSteps])
def test_a_schedule_in_steps_is_told(strategy_class):
    reason = refusal(contract.test_schedules_do_not_count_steps, strategy_class, index=37)

    assert "at step 44437 of 120100 (epoch 3) than at step 37 of 100 (epoch 3)" in reason
    assert "read step.index / step.total, or step.progress of a stage" in reason


def test_a_schedule_in_epochs_is_told():
    reason = refusal(contract.test_schedules_do_not_count_epochs, RampInEpochs, index=37)

    assert "at step 44437 of 120100 (epoch 4443) than at step 37 of 100 (epoch 3)" in reason


@pytest.mark.parametrize(
    ("strategy_class", "reason"),
    [
        (NothingWithoutUnlabeled, "there is no loss where nothing is unlabeled"),
        (ZeroWithoutUnlabeled, "all gradients are 0 where nothing is unlabeled"),
    ],
)
def test_what_learns_nothing_from_labels_alone_is_told(strategy_class, reason):
    assert refusal(contract.test_it_trains_where_nothing_is_unlabeled, strategy_class, index=99).startswith(reason)


@pytest.mark.parametrize(
    ("strategy_class", "reason"),
    [
        (Nothing, "no loss of the steps [0, 1, 98, 99] of 100 updates student"),
        (Zero, "in all losses of the steps [0, 1, 98, 99] of 100 the gradient is 0 for student"),
    ],
)
def test_a_loss_that_moves_nothing_is_told(strategy_class, reason):
    assert refusal(contract.test_every_trained_role_is_updated, strategy_class).startswith(reason)
