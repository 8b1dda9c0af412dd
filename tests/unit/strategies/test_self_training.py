"""Self-training: stages that share the budget, and a student that learns from labels and pseudo-labels alike."""

from dataclasses import replace

import pytest
import torch
from pydantic import ValidationError

from semiseg.losses.named import named_loss
from semiseg.strategies.self_training import SelfTraining
from semiseg.strategy_parts.views import strong_view
from semiseg.testing.strategy import StrategyContract, make_batch
from semiseg.types import IGNORE


def made(**options):
    return StrategyContract.make(SelfTraining, {"loss": "dice", **options})


def step_of(strategy, index):
    return StrategyContract.at(strategy, index)


def test_st_has_a_teacher_and_a_new_student():
    teacher, student = made(teacher_share=0.3).stages()
    assert (teacher.share, student.share) == (0.3, 0.7)
    assert (teacher.pseudo_labels, student.pseudo_labels) == (False, True)
    assert student.reset == "all"
    assert student.reliable == 1


def test_st_plus_plus_has_a_student_of_the_reliable_cases_between():
    teacher, reliable, student = made(reliable_share=0.5, teacher_share=0.4, snapshots=3).stages()
    assert [stage.share for stage in (teacher, reliable, student)] == pytest.approx([0.4, 0.3, 0.3])
    assert (teacher.snapshots, reliable.reliable, student.reliable) == (3, 0.5, 1)
    assert all(stage.reset == "all" and stage.pseudo_labels for stage in (reliable, student))


def test_the_teacher_learns_from_labels_alone():
    strategy, batch = made(), make_batch()
    (losses,) = strategy.losses(batch, step_of(strategy, 10))
    logits = strategy.networks["model"](batch.labeled.image)
    assert losses.total.item() == pytest.approx(named_loss(logits, batch.labeled.label, "dice").mean().item())
    assert "pseudo" not in losses.parts


def test_the_student_learns_from_both_the_unlabeled_ones_in_a_strong_view():
    strategy, batch = made(weight=0.7, loss="dice_ce"), make_batch(pseudo=True)
    step, unlabeled = step_of(strategy, 80), batch.unlabeled
    (losses,) = strategy.losses(batch, step)
    view = strong_view(unlabeled.image, unlabeled.slots, step, "self_training", 1.0, 0.5)
    network = strategy.networks["model"]
    supervised = named_loss(network(batch.labeled.image), batch.labeled.label, "dice_ce").mean()
    pseudo = torch.nn.functional.cross_entropy(network(view), unlabeled.pseudo)
    assert not torch.equal(view, unlabeled.image)
    assert losses.total.item() == pytest.approx((supervised + 0.7 * pseudo).item(), rel=1e-5)


def test_the_pseudo_label_is_what_is_learned():
    """A student of pseudo-labels alone comes to say what they say: not what the network said itself."""
    torch.manual_seed(0)
    strategy, batch = made(strength=0.0, cut_out=0.0), make_batch(0, 2, pseudo=True)
    optimizer = torch.optim.Adam(strategy.parameters(), lr=0.02)
    step = step_of(strategy, 80)
    batch.unlabeled.pseudo.fill_(2)
    for _ in range(40):
        optimizer.zero_grad()
        (losses,) = strategy.losses(batch, step)
        losses.total.backward()
        optimizer.step()
    assert (strategy.predict(batch.unlabeled.image).argmax(1) == 2).float().mean() > 0.95


def test_a_part_without_labels_adds_nothing_in_the_teacher_s_stage():
    strategy = made()
    (losses,) = strategy.losses(make_batch(0, 2), step_of(strategy, 10))
    losses.total.backward()
    assert losses.total.item() == 0
    assert all((p.grad == 0).all() for p in strategy.parameters())


def test_with_an_external_teacher_there_is_one_stage_that_asks_for_its_label_maps():
    strategy = made(teacher="external")
    (student,) = strategy.stages()
    assert (student.share, student.reset, student.pseudo_labels) == (1, "none", False)
    assert SelfTraining.batch_needs(strategy.options).external_pseudo
    assert not SelfTraining.batch_needs(made().options).external_pseudo


def test_ignored_voxels_of_an_external_teacher_count_in_no_loss():
    """The loss is that of the other voxels, and what the ignored ones held makes no difference."""
    strategy, batch = made(teacher="external", strength=0.0, cut_out=0.0), make_batch(pseudo=True)
    step = step_of(strategy, 0)
    unlabeled = batch.unlabeled
    ignored = torch.rand(unlabeled.pseudo.shape, generator=torch.Generator().manual_seed(1)) < 0.4
    ignored[1] = True
    pseudo = torch.where(ignored, IGNORE, unlabeled.pseudo)
    (losses,) = strategy.losses(replace(batch, unlabeled=replace(unlabeled, pseudo=pseudo, has_ignored=True)), step)
    logits = strategy.networks["model"](unlabeled.image)
    known = torch.nn.functional.cross_entropy(logits[:1], pseudo[:1], ignore_index=IGNORE)
    assert losses.parts["pseudo"].item() == pytest.approx(known.item() / 2, rel=1e-5)  # the second sample has none


@pytest.mark.parametrize("changed", [{"teacher_share": 0.3}, {"reliable_share": 0.5}, {"snapshots": 3}])
def test_an_external_teacher_takes_no_options_of_an_own_one(changed):
    (name,) = changed
    with pytest.raises(ValidationError, match=f"no teacher is trained: leave out {name}"):
        made(teacher="external", **changed)
