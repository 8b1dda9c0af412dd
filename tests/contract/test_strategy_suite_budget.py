"""What the suite of strategies catches of samples that are drawn for nothing: wasteful strategies, and thrifty ones."""

import pytest
import torch
from suite_strategies import Right, contract, refusal

from semiseg.interfaces.losses import Losses, Term
from semiseg.interfaces.roles import Role
from semiseg.interfaces.strategy import BatchNeeds, Stage, Strategy, StreamNeeds
from semiseg.losses.named import named_loss
from semiseg.strategies.cps import CrossPseudoSupervision
from semiseg.strategies.fixmatch import FixMatch
from semiseg.strategies.supervised import Supervised

WAIT = "10 of 100 (stage train)"


class LabelsFirst(Right):
    """Wrong: its first half learns from labels alone, and it does not say so."""

    declared = True

    def stages(self):
        return Stage("labels", 0.5, unlabeled=self.declared), Stage("both", 0.5)

    def losses(self, batch, step):
        if step.stage == "both":
            yield from super().losses(batch, step)
            return
        labeled, _ = batch.divide(self.run("student", batch.images()))
        yield Losses(Term(named_loss(labeled, batch.labeled.label, "dice"), batch.labeled))


class Declared(LabelsFirst):
    """Right: likewise, and said."""

    declared = False


class WeightlessWait(Right):
    """Wrong: unlabeled samples go through both networks from the first step on, with a weight of 0 to the middle."""

    def weight(self, step):
        return float(step.progress >= 0.5)


class Waiting(WeightlessWait):
    """Right: likewise, and none are drawn."""

    def uses_unlabeled(self, step):
        return step.progress >= 0.5


class UnsaidWait(CrossPseudoSupervision):
    """Wrong: CPS whose wait draws what it does not use."""

    def uses_unlabeled(self, step):
        return True


class FirstLabel(Strategy):
    """Wrong: of the labeled samples it uses the first."""

    @classmethod
    def roles(cls, options):
        return (Role("student"),)

    def losses(self, batch, step):
        labeled, unlabeled = batch.divide(self.run("student", batch.images()))
        values = named_loss(labeled, batch.labeled.label, "dice")
        first = Term(torch.cat([values[:1], 0 * values[1:].detach()]), batch.labeled)
        sure = Term(-unlabeled.softmax(1).square().flatten(1).sum(1), batch.unlabeled)
        yield Losses({"first": first, "sure": sure})


class FirstLabelOfMany(FirstLabel):
    """Wrong: likewise, although it uses 21 of 22 samples."""

    needs = BatchNeeds(unlabeled=StreamNeeds(minimum=20))


class TooModest(Right):
    """Wrong: says that its steps use no unlabeled samples; they would."""

    def uses_unlabeled(self, step):
        return False


class Ending(Right):
    """Wrong: it stops using unlabeled samples within a stage."""

    def uses_unlabeled(self, step):
        return step.progress < 0.5


@pytest.mark.parametrize("strategy_class", [Right, Declared, Waiting, FixMatch, CrossPseudoSupervision, Supervised])
def test_strategies_that_use_what_they_draw_pass(strategy_class):
    """Also FixMatch, although none of its first predictions is sure enough for a label."""
    made = contract.make(strategy_class, {})
    contract.test_a_step_uses_what_it_draws(made)
    contract.test_a_step_of_labels_alone_uses_no_unlabeled_samples(made)
    contract.test_unlabeled_samples_are_used_from_some_step_of_a_stage_on(made)


@pytest.mark.parametrize(
    ("strategy_class", "step"), [(LabelsFirst, "5 of 100 (stage labels)"), (WeightlessWait, WAIT), (UnsaidWait, WAIT)]
)
def test_unlabeled_samples_that_are_drawn_for_nothing_are_told(strategy_class, step):
    reason = refusal(contract.test_a_step_uses_what_it_draws, strategy_class)

    assert reason.startswith(f"at step {step}, the losses do not depend on 2 unlabeled of the 4 samples drawn\n")
    assert "Stage(..., unlabeled=False), or uses_unlabeled for a wait" in reason


def test_labeled_samples_that_are_drawn_for_nothing_are_told():
    check = contract.test_a_step_uses_what_it_draws
    few, many = refusal(check, FirstLabel), refusal(check, FirstLabelOfMany)

    assert few.startswith(f"at step {WAIT}, the losses do not depend on 1 labeled of the 4 samples drawn\n")
    assert "uses_unlabeled" not in few
    assert many.startswith(f"at step {WAIT}, the losses depend on 1 labeled samples, but a recipe gives 2")


def test_a_step_that_says_it_uses_labels_alone_has_to():
    reason = refusal(contract.test_a_step_of_labels_alone_uses_no_unlabeled_samples, TooModest)

    assert reason.startswith("the losses of step 10 of 100 (stage train) depend on unlabeled samples, but")


def test_unlabeled_samples_are_not_given_up_within_a_stage():
    reason = refusal(contract.test_unlabeled_samples_are_used_from_some_step_of_a_stage_on, Ending)

    assert reason.startswith("uses_unlabeled is true and then false in stage train: end the stage there")
