"""Equations 3 and 4 of FixMatch, written out voxel by voxel; and the published variants."""

import math

import pytest
import torch
import torch.nn.functional as F
from monai.losses import DiceLoss

from semiseg.engine.runtime import Runtime
from semiseg.engine.step import StepRunner
from semiseg.interfaces.batch import Step
from semiseg.strategies.fixmatch import FixMatch
from semiseg.strategy_parts.mixing import one_box_masks
from semiseg.strategy_parts.views import strong_view
from semiseg.testing.batches import in_double
from semiseg.testing.strategy import StrategyContract, make_batch

DICE = DiceLoss(softmax=True, to_onehot_y=True)
STEP = Step(40, 100, 10, seed=2)
CTA = {
    "labels_from": "teacher", "threshold": 0, "pseudo_loss": "dice_ce", "loss": "dice_ce",
    "weight": 0.1, "ramp": "sigmoid", "ramp_share": 1,
}  # fmt: skip


def made(**options):
    return StrategyContract.make(FixMatch, {"loss": "dice", **options}).double()


def double_batch(**sizes):
    return in_double(make_batch(**sizes))


def views(strategy, batch):
    """Logits of the strong view, and the weak view's probabilities and labels."""
    net, unlabeled = strategy.networks["model"], batch.unlabeled
    strong = net(strong_view(unlabeled.image, unlabeled.slots, STEP, "fixmatch", 1.0, 0.5))
    return strong, *net(unlabeled.image).softmax(1).max(1)


@pytest.mark.parametrize("threshold", [0.0, 0.4, 0.5])
def test_loss_and_gradient_are_the_equations(threshold):
    strategy, batch = made(threshold=threshold, weight=0.7), double_batch(labeled=1, unlabeled=3)
    strong, confidence, labels = views(strategy, batch)
    mask = confidence.detach() >= threshold
    expected = DICE(strategy.networks["model"](batch.labeled.image), batch.labeled.label[:, None])
    expected = expected + 0.7 * (F.cross_entropy(strong, labels, reduction="none") * mask).mean()
    wanted = torch.autograd.grad(expected, list(strategy.parameters()))
    (losses,) = strategy.losses(batch, STEP)
    assert losses.total.item() == pytest.approx(expected.item(), abs=1e-12)
    assert losses.parts["accepted"].item() == pytest.approx(mask.double().mean().item(), abs=1e-6)
    assert 0 < losses.parts["accepted"] <= 1
    found = torch.autograd.grad(losses.total, list(strategy.parameters()))
    assert all(torch.allclose(a, b, atol=1e-13, rtol=1e-9) for a, b in zip(found, wanted, strict=True))


@pytest.mark.parametrize(("side", "whole"), [((1.0, 1.0), True), ((0.5, 0.5), False)])
def test_cutmix_pastes_a_box_of_the_other_sample_s_strong_view_and_label(side, whole):
    strategy, batch = made(threshold=0, cutmix=1.0, cutmix_side=side, cut_out=0), double_batch(labeled=2, unlabeled=4)
    net, unlabeled = strategy.networks["model"], batch.unlabeled
    strong = strong_view(unlabeled.image, unlabeled.slots, STEP, "fixmatch", 1.0, 0.0)
    labels = net(unlabeled.image).argmax(1)
    masks = one_box_masks(tuple(strong.shape[2:]), unlabeled.slots, STEP, "fixmatch/cutmix", side, 1.0)
    assert masks.flatten(1).float().mean(1).tolist() == pytest.approx([1.0 if whole else 1 / 8] * 4)
    pair = [1, 0, 3, 2]
    mixed = torch.where(masks[:, None], strong[pair], strong)
    expected = DICE(net(batch.labeled.image), batch.labeled.label[:, None])
    expected = expected + F.cross_entropy(net(mixed), torch.where(masks, labels[pair], labels))
    (losses,) = strategy.losses(batch, STEP)
    assert losses.total.item() == pytest.approx(expected.item(), abs=1e-12)


def test_a_box_is_mixed_with_the_probability_and_within_its_bounds():
    slots = range(4000)
    masks = one_box_masks((20, 16), slots, STEP, "boxes", (0.25, 0.6), 0.8)
    mixed = masks[masks.flatten(1).any(1)]
    assert len(mixed) / 4000 == pytest.approx(0.8, abs=0.03)
    for dim, length in ((2, 20), (1, 16)):
        sides = mixed.any(dim).sum(1)
        assert (sides.min().item(), sides.max().item()) == (round(0.25 * length), round(0.6 * length))


def test_cutmix_draws_unlabeled_samples_in_pairs():
    assert FixMatch.batch_needs(FixMatch.Options(cutmix=0.5)).unlabeled.unit == 2
    assert FixMatch.batch_needs(FixMatch.Options()).unlabeled.unit == 1


@pytest.mark.parametrize("pseudo_loss", ["cross_entropy", "dice", "dice_ce"])
def test_a_rejected_voxel_is_ignored_and_not_background(pseudo_loss):
    """In SSL4MIS it becomes class 0, and an unsure network learns to see background everywhere."""
    strategy, batch = made(threshold=0.999, pseudo_loss=pseudo_loss), double_batch()
    (losses,) = strategy.losses(batch, STEP)
    assert losses.parts["accepted"].item() == 0
    assert losses.total.item() == pytest.approx(losses.parts["supervised"].item(), abs=1e-12)
    found = torch.autograd.grad(losses.total, list(strategy.parameters()))
    supervised = DICE(strategy.networks["model"](batch.labeled.image), batch.labeled.label[:, None])
    wanted = torch.autograd.grad(supervised, list(strategy.parameters()))
    assert all(torch.allclose(a, b, atol=1e-12, rtol=1e-9) for a, b in zip(found, wanted, strict=True))


def test_the_threshold_is_read_whoever_labels():
    """SSL4MIS's train_fixmatch_cta.py has a threshold that nothing reads."""
    batch = double_batch()
    for labels_from in ("model", "teacher"):
        shares = []
        for threshold in (0, 0.5, 0.999):
            (losses,) = made(labels_from=labels_from, threshold=threshold).losses(batch, STEP)
            shares.append(losses.parts["accepted"].item())
        assert shares[0] == 1
        assert 0 < shares[1] < 1
        assert shares[2] == 0


def test_the_loss_of_ssl4mis_with_a_moving_average():
    strategy, batch = made(**CTA), double_batch()
    for parameter in strategy.networks["teacher"].parameters():
        parameter.data.mul_(-1)  # an opinion of its own
    strong, _, _ = views(strategy, batch)
    labels = strategy.networks["teacher"](batch.unlabeled.image).argmax(1)
    logits, y = strategy.networks["model"](batch.labeled.image), batch.labeled.label
    supervised = F.cross_entropy(logits, y) + DICE(logits, y[:, None])
    pseudo = F.cross_entropy(strong, labels) + DICE(strong, labels[:, None])
    (losses,) = strategy.losses(batch, STEP)
    expected = supervised + 0.1 * math.exp(-5 * 0.6**2) * pseudo
    assert losses.total.item() == pytest.approx(expected.item(), abs=1e-12)


def test_the_teacher_is_the_mean_of_the_first_students_and_predicts():
    strategy, batch = made(**CTA), double_batch()
    model, teacher = strategy.networks["model"], strategy.networks["teacher"]
    runner = StepRunner(strategy, {"model": torch.optim.SGD(model.parameters(), lr=1.0)}, Runtime("cpu", "32"))
    students = []
    for index in range(4):
        runner(batch, Step(index, 100, 10))
        students.append([p.detach().clone() for p in model.parameters()])
        mean = [torch.stack(values).mean(0) for values in zip(*students, strict=True)]
        assert all(torch.allclose(p, m, atol=1e-14) for p, m in zip(teacher.parameters(), mean, strict=True))
    assert not torch.equal(students[0][0], students[3][0])
    assert torch.equal(strategy.predict(batch.images()), teacher(batch.images()).softmax(1))


def test_without_a_teacher_there_is_one_network():
    assert list(made().networks) == ["model"]


def test_without_unlabeled_samples_there_is_only_the_supervised_loss():
    strategy, batch = made(), double_batch(labeled=2, unlabeled=0)
    (losses,) = strategy.losses(batch, STEP)
    assert losses.total.item() == pytest.approx(losses.parts["supervised"].item())


def test_where_nothing_is_unlabeled_the_teacher_still_gathers_its_statistics():
    """With batch normalization it would else predict with the statistics that it began with."""
    strategy = made(labels_from="teacher")
    for name in ("model", "teacher"):
        strategy.networks[name] = torch.nn.Sequential(torch.nn.BatchNorm3d(2), strategy.networks[name]).double()
    before = strategy.networks["teacher"][0].running_mean.clone()
    list(strategy.losses(double_batch(labeled=2, unlabeled=0), STEP))
    assert not torch.equal(strategy.networks["teacher"][0].running_mean, before)
    assert all(p.grad is None for p in strategy.networks["teacher"].parameters())
