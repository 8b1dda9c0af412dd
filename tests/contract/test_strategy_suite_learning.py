"""What the suite of strategies catches of learning and of schedules: strategies wrong in one thing, and right ones."""

import pytest
import torch
from suite_strategies import Right, contract, refusal

from semiseg.interfaces.co_training import CoTraining
from semiseg.interfaces.losses import Losses, Term
from semiseg.interfaces.roles import Role
from semiseg.interfaces.strategy import BatchNeeds, Stage, StreamNeeds
from semiseg.losses.named import named_loss
from semiseg.testing.strategy import StrategyContract


class Forgetful(Right):
    """Wrong: its teacher is said to be a moving average, and is never moved. Right where it is declared frozen."""

    def after_step(self, step):
        pass


class SeldomMoved(Right):
    """Right: its teacher is moved every 50th step."""

    def after_step(self, step):
        if (step.index + 1) % 50 == 0:
            super().after_step(step)


class Gathering(SeldomMoved):
    """Right: likewise, and ``after_step`` takes what ``losses`` gathers."""

    gathered = None

    def losses(self, batch, step):
        self.gathered = batch.images().mean()
        yield from super().losses(batch, step)

    def after_step(self, step):
        assert self.gathered.isfinite()
        self.gathered = None
        super().after_step(step)


class Pair(CoTraining):
    """Right: two networks, each trained on the other's argmax where that is sure; none is as they begin."""

    @classmethod
    def roles(cls, options):
        return (Role("a"), Role("b"))

    def pseudo_label(self, role, output, batch):
        sure, labels = output.softmax(1).max(1)
        return torch.where(sure > 0.9, labels, -100)

    def loss(self, role, output, pseudo_labels, batch, step):
        labeled, _ = batch.divide(output)
        total = Term(named_loss(labeled, batch.labeled.label, "dice"), batch.labeled)
        for pseudo_label in self.chosen(role, output, pseudo_labels, batch):
            pseudo = torch.nn.functional.cross_entropy(output, pseudo_label, reduction="none").flatten(1).mean(1)
            total += Term(pseudo, batch.labeled, batch.unlabeled)
        return Losses(total, role)

    def chosen(self, role, output, pseudo_labels, batch):
        return pseudo_labels.values()


class Waiting(Pair):
    """Right: its networks label for one another from the end of a wait on."""

    def uses_pseudo_labels(self, step):
        return step.index >= 0.9 * step.total


class InTurns(Pair):
    """Right: its networks take turns at learning, and each learns from the other alone."""

    exact = frozenset()

    def losses(self, batch, step):
        turn = ("a", "b")[step.index % 2]
        return (losses for losses in super().losses(batch, step) if losses.updates == {turn})


class Asymmetric(Pair):
    """Right: b learns from what a is sure of, and from nothing else."""

    def pseudo_label(self, role, output, batch):
        sure, labels = output.softmax(1).max(1)
        return torch.where(sure > 0.95, labels, -100)

    def loss(self, role, output, pseudo_labels, batch, step):
        if role == "a":
            return super().loss(role, output, {}, batch, step)
        pseudo = torch.nn.functional.cross_entropy(output, pseudo_labels["a"], reduction="none").flatten(1).mean(1)
        return Losses(Term(pseudo, batch.labeled, batch.unlabeled), role)


class OwnLesson(Pair):
    """Wrong: each network learns from what it says itself."""

    def chosen(self, role, output, pseudo_labels, batch):
        return [self.detached_pseudo_label(role, output, batch)] if pseudo_labels else []


class SwappedLessons(Pair):
    """Wrong: likewise, where the pseudo-labels are handed out."""

    exact = frozenset()

    def losses(self, batch, step):
        images = batch.images()
        for role in self.networks:
            output = self.run(role, images)
            yield self.loss(role, output, {"other": self.detached_pseudo_label(role, output, batch)}, batch, step)


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


class ShareLessOne(Right):
    """Right: its weight is 1 at the last step."""

    def weight(self, step):
        return step.index / (step.total - 1)


class ShareMoreOne(Right):
    """Right: its weight is above 0 at the first step."""

    def weight(self, step):
        return (step.index + 1) / step.total


class ShareOfEpochs(Right):
    """Right: its weight rises from epoch to epoch by the share of them that is done."""

    def weight(self, step):
        return step.epoch / (step.total // step.epoch_length)


class FewSteps(Right):
    """Right: its weight rises by the share of training that is done, at every 10th step."""

    def weight(self, step):
        return step.index // 10 * 10 / step.total


class PseudoLast(Right):
    """Right: its second stage learns from pseudo-labels alone."""

    def stages(self):
        return (Stage("labels", 0.5), Stage("pseudo-labels", 0.5, pseudo_labels=True))

    def losses(self, batch, step):
        if step.stage == "labels":
            yield from super().losses(batch, step)
            return
        _, unlabeled = batch.divide(self.run("student", batch.images()))
        yield Losses(Term(named_loss(unlabeled, batch.unlabeled.pseudo, "dice"), batch.unlabeled))


class UnlabeledAlone(Right):
    """Right: it learns from unlabeled samples alone, of which it is always given some."""

    needs = BatchNeeds(StreamNeeds(minimum=1), StreamNeeds(minimum=1))

    def losses(self, batch, step):
        _, unlabeled = batch.divide(self.run("student", batch.images()).softmax(1))
        yield Losses(Term(-unlabeled.square().flatten(1).sum(1), batch.unlabeled))


class WholeBatches(UnlabeledAlone):
    """Right: likewise, and no part of a batch is without some."""

    whole_batch = True

    def losses(self, batch, step):
        assert len(batch.unlabeled)
        return super().losses(batch, step)


class NotFiniteWithoutUnlabeled(Right):
    """Wrong: the mean of nothing is not a number."""

    whole_batch = True

    def losses(self, batch, step):
        _, unlabeled = batch.divide(self.run("student", batch.images()))
        yield Losses(-unlabeled.softmax(1).square().mean())


class NothingWithoutUnlabeled(Right):
    """Wrong: it has no loss for a batch that is all labeled."""

    def losses(self, batch, step):
        if len(batch.unlabeled):
            yield from super().losses(batch, step)


class ZeroWithoutUnlabeled(Right):
    """Wrong: its loss for a batch that is all labeled is 0."""

    def losses(self, batch, step):
        for losses in super().losses(batch, step):
            yield losses if len(batch.unlabeled) else Losses({name: 0 * term for name, term in losses.terms.items()})


class Zero(Right):
    """Wrong: its loss is always 0."""

    def losses(self, batch, step):
        for losses in super().losses(batch, step):
            yield Losses({name: 0 * term for name, term in losses.terms.items()})


class Nothing(Right):
    """Wrong: it has no loss."""

    def losses(self, batch, step):
        yield from ()


class Declared(StrategyContract):
    frozen = frozenset({"teacher"})
    counts_epochs = True


def check_learning(strategy_class, suite=contract):
    suite.test_every_trained_role_is_updated(suite.make(strategy_class, {}))
    suite.test_it_trains_without_unlabeled_samples(suite.make(strategy_class, {}))
    suite.test_an_untrained_role_changes_unless_declared_frozen(suite.make(strategy_class, {}))


@pytest.mark.parametrize("strategy_class", [Pair, Waiting, InTurns])
def test_networks_that_teach_one_another_pass(strategy_class):
    check_learning(strategy_class)
    contract.test_each_network_influences_the_others(contract.make(strategy_class, {}))


@pytest.mark.parametrize("strategy_class", [SeldomMoved, Gathering, Asymmetric, PseudoLast, UnlabeledAlone])
def test_what_learns_seldom_or_from_few_samples_passes(strategy_class):
    check_learning(strategy_class)


def test_what_is_always_given_unlabeled_samples_is_not_asked_to_do_without():
    with pytest.raises(pytest.skip.Exception, match="it always gets whole batches"):
        contract.test_it_trains_without_unlabeled_samples(contract.make(WholeBatches, {}))


def test_a_teacher_that_is_declared_frozen_passes():
    check_learning(Forgetful, Declared())


@pytest.mark.parametrize("strategy_class", [ShareOfTraining, ShareLessOne, ShareMoreOne, ShareOfEpochs, FewSteps])
def test_schedules_by_the_share_of_training_pass(strategy_class):
    for check in (contract.test_schedules_do_not_count_steps, contract.test_schedules_do_not_count_epochs):
        for index in (1, 37, 98):
            check(contract.make(strategy_class, {}), index)


def test_a_schedule_in_epochs_passes_where_it_is_declared():
    Declared().test_schedules_do_not_count_steps(contract.make(RampInEpochs, {}), 37)
    with pytest.raises(pytest.skip.Exception, match="it is declared with counts_epochs"):
        Declared().test_schedules_do_not_count_epochs(contract.make(RampInEpochs, {}), 37)


def test_a_teacher_that_is_never_moved_is_named():
    reason = refusal(contract.test_an_untrained_role_changes_unless_declared_frozen, Forgetful)

    assert reason.startswith("neither trained nor changed by 1000 steps: teacher\n")
    assert "frozen = frozenset({'teacher'})" in reason


@pytest.mark.parametrize(
    ("roles", "reason"),
    [
        ({"teacher"}, "declared frozen, but changed by six steps: teacher"),
        ({"student"}, "declared frozen, but not an untrained role: student"),
        ({"techer"}, "declared frozen, but not an untrained role: techer"),
    ],
)
def test_what_is_declared_frozen_has_to_be(roles, reason):
    class Frozen(StrategyContract):
        frozen = frozenset(roles)

    assert refusal(Frozen().test_an_untrained_role_changes_unless_declared_frozen, Right).startswith(reason)


def test_what_is_declared_frozen_has_to_be_to_the_end():
    reason = refusal(Declared().test_an_untrained_role_changes_unless_declared_frozen, SeldomMoved)

    assert reason.startswith("declared frozen, but changed by step 49 of 1000: teacher")


@pytest.mark.parametrize("strategy_class", [OwnLesson, SwappedLessons])
def test_a_network_that_learns_from_itself_is_named(strategy_class):
    reason = refusal(contract.test_each_network_influences_the_others, strategy_class)

    assert reason.startswith("a learns nothing from b: its gradients do not depend on their weights\n")
    assert "at the steps [0, 1, 98, 99] of 100" in reason


@pytest.mark.parametrize(
    ("strategy_class", "index"), [(RampInSteps, 1), (RampInBlocks, 37), (WaitInSteps, 37), (RampInStageSteps, 1)]
)
def test_a_schedule_in_steps_is_told(strategy_class, index):
    reason = refusal(contract.test_schedules_do_not_count_steps, strategy_class, index=index)

    later, epoch = 1201 * index, index // 10
    assert (
        f"at step {later} of 120100 (epoch {epoch}) differ from those at step {index} of 100 (epoch {epoch})" in reason
    )
    assert "use step.index / step.total, or step.progress for a stage, and draw from step.generator" in reason


def test_a_schedule_in_epochs_is_told():
    reason = refusal(contract.test_schedules_do_not_count_epochs, RampInEpochs, index=37)

    assert "at step 44437 of 120100 (epoch 4443) differ from those at step 37 of 100 (epoch 3)" in reason


@pytest.mark.parametrize(
    ("strategy_class", "reason"),
    [
        (NothingWithoutUnlabeled, "no loss without unlabeled samples, at step "),
        (ZeroWithoutUnlabeled, "all gradients of the steps [0, 99] of 100 are 0 without unlabeled samples"),
        (NotFiniteWithoutUnlabeled, "a loss is not finite without unlabeled samples, at step 0 of 100"),
    ],
)
def test_what_learns_nothing_from_labels_alone_is_told(strategy_class, reason):
    assert refusal(contract.test_it_trains_without_unlabeled_samples, strategy_class).startswith(reason)


@pytest.mark.parametrize(
    ("strategy_class", "reason"),
    [
        (Nothing, "no loss of the steps [0, 1, 98, 99] of 100 updates student"),
        (Zero, "the gradient is 0 in all losses of the steps [0, 1, 98, 99] of 100 for student"),
    ],
)
def test_a_loss_that_moves_nothing_is_told(strategy_class, reason):
    assert refusal(contract.test_every_trained_role_is_updated, strategy_class).startswith(reason)
