"""DHC: losses with weights of classes against the public code, and the state behind these weights."""

import pytest
import torch

from semiseg.engine.runtime import Runtime
from semiseg.interfaces.batch import Batch, Step
from semiseg.losses.cross_entropy import weighted_cross_entropy
from semiseg.strategies.cps import CrossPseudoSupervision
from semiseg.strategies.dhc import DHC
from semiseg.strategy_parts.class_weights import Difficulty, Rarity, counts_of, hard_dice
from semiseg.testing.steps import run_steps
from semiseg.testing.strategy import CLASSES, StrategyContract, make_batch

STEP = Step(40, 100, 10)
EARLY = Step(10, 100, 10)
ROLES = ("student_a", "student_b")


def made(**options):
    return StrategyContract.make(DHC, {"ramp": "constant", "ramp_share": 0, **options}).double()


def double_batch(**sizes):
    return make_batch(**sizes).apply(lambda t: t.double() if t.is_floating_point() else t)


def state(strategy):
    return {name: value.clone() for name, value in strategy.named_buffers() if not name.startswith("next_")}


def test_each_network_has_its_own_weights_in_all_of_its_losses():
    strategy, batch = made(decay=0.9, floor=0.05, weight=0.7), double_batch(labeled=2, unlabeled=3)
    logits = {role: strategy.networks[role](batch.images()) for role in ROLES}
    l = batch.labeled  # noqa: E741
    hard = Difficulty.start(CLASSES).after(*hard_dice(logits["student_a"][:2].argmax(1), l.label, CLASSES), decay=0.8)
    pseudo = counts_of(logits["student_b"][2:].argmax(1), CLASSES)
    rare = Rarity.start(CLASSES).after(counts_of(l.label, CLASSES), pseudo, decay=0.9)
    weights = {"student_a": hard.weights(0.05), "student_b": rare.weights(0.05)}
    assert all(len(set(values.tolist())) > 1 for values in weights.values())
    for losses, role, peer in zip(strategy.losses(batch, STEP), ROLES, ROLES[::-1], strict=True):
        assert losses.updates == {role}
        own, w = logits[role], weights[role].double()
        dice = strategy.coding.dice_of_probabilities(own[:2].softmax(1), l.label, weights=w).mean()
        supervised = weighted_cross_entropy(own[:2], l.label, w) + dice
        crossed = weighted_cross_entropy(own, logits[peer].argmax(1), w)
        assert losses.parts["supervised"].item() == pytest.approx(supervised.item(), rel=1e-6)
        assert losses.parts["pseudo"].item() == pytest.approx(crossed.item(), rel=1e-6)
        assert losses.total.item() == pytest.approx((supervised + 0.7 * crossed).item(), rel=1e-6)


def test_the_supervised_loss_is_an_option():
    batch = double_batch()
    dice, entropy, both = (
        next(iter(made(loss=kind).losses(batch, STEP))).parts["supervised"].item()
        for kind in ("dice", "cross_entropy", "dice_ce")
    )
    assert both == pytest.approx(dice + entropy, rel=1e-12)
    assert 0 < dice != entropy > 0


def test_equal_weights_are_cps_with_cross_entropies():
    batch = double_batch(labeled=2, unlabeled=2)
    ours = made(floor=1, loss="cross_entropy", weight=0.5)
    cps = StrategyContract.make(
        CrossPseudoSupervision, {"loss": "cross_entropy", "pseudo_loss": "cross_entropy", "phi": 0.5, "wait_share": 0}
    ).double()
    cps.load_state_dict(ours.state_dict(), strict=False)
    pairs = zip(ours.losses(batch, STEP), cps.losses(batch, STEP), ROLES, strict=True)
    for found, wanted, role in pairs:
        assert found.total.item() == pytest.approx(wanted.total.item(), rel=1e-12)
        one = torch.autograd.grad(found.total, list(ours.networks[role].parameters()))
        other = torch.autograd.grad(wanted.total, list(cps.networks[role].parameters()))
        assert all(torch.allclose(a, b, atol=1e-14) for a, b in zip(one, other, strict=True))


def test_state_changes_after_the_step_alone():
    strategy, batch = made(), double_batch()
    before = state(strategy)
    one, two = ([losses.total.item() for losses in strategy.losses(batch, STEP)] for _ in range(2))
    assert one == two
    assert all(torch.equal(value, before[name]) for name, value in state(strategy).items())
    strategy.after_step(STEP)
    labels = batch.labeled.label
    dice, _ = hard_dice(strategy.networks["student_a"](batch.labeled.image).argmax(1), labels, CLASSES)
    assert strategy.difficulty[0, :CLASSES].tolist() == pytest.approx(dice.tolist(), rel=1e-6)
    assert strategy.labeled[:CLASSES].tolist() == counts_of(labels, CLASSES).tolist()
    assert all(
        torch.equal(value[..., CLASSES:], before[name][..., CLASSES:])
        for name, value in state(strategy).items()
        if name in ("difficulty", "rarity", "labeled")
    )


def test_labels_are_counted_over_the_steps():
    strategy = made()
    batches = [double_batch(seed=seed) for seed in range(3)]
    run_steps(strategy, [(batch, STEP) for batch in batches], Runtime("cpu", "32"), lr=0.0)
    wanted = sum(counts_of(batch.labeled.label, CLASSES) for batch in batches)
    assert strategy.labeled[:CLASSES].tolist() == wanted.tolist()


def test_averages_of_difficulties_are_half_as_long_as_those_of_rarities():
    strategy, batch = made(decay=0.9), double_batch()
    run_steps(strategy, [(batch, STEP)], Runtime("cpu", "32"), lr=0.0)
    dice, _, _, error, _ = strategy.difficulty[:, :CLASSES]
    assert error.tolist() == pytest.approx((0.8 + 0.2 * (1 - dice)).tolist(), rel=1e-6)
    found = strategy.hard(strategy.networks["student_b"](batch.unlabeled.image))
    there = counts_of(found, CLASSES) > 0
    assert strategy.rarity[0, :CLASSES].tolist() == pytest.approx(torch.where(there, 0.9, 1.0).tolist())


def test_a_class_that_is_nowhere_keeps_its_state():
    """Neither its labels nor its pseudo-labels are in the second step; the others' are."""
    strategy, batch = made(), double_batch()
    run_steps(strategy, [(batch, STEP)], Runtime("cpu", "32"), lr=0.0)
    before = state(strategy)
    label = torch.where(batch.labeled.label == 2, 0, batch.labeled.label)
    for network in strategy.networks.values():
        network.head.bias.data[2] = -1e6
    labeled = type(batch.labeled)(
        batch.labeled.image, 2, batch.labeled.slots, batch.labeled.cases, label, batch.labeled.targets
    )
    run_steps(strategy, [(Batch(labeled, batch.unlabeled), STEP)], Runtime("cpu", "32"), lr=0.0)
    for name in ("difficulty", "rarity"):
        assert torch.equal(getattr(strategy, name)[..., 2], before[name][..., 2])
        assert not torch.equal(getattr(strategy, name)[..., :2], before[name][..., :2])


def test_pseudo_labels_are_not_counted_before_they_are_used():
    strategy = made(ramp="step", ramp_share=0.2)
    run_steps(strategy, [(double_batch(), EARLY)], Runtime("cpu", "32"), lr=0.0)
    assert strategy.rarity[0].unique().tolist() == [1]
    assert not strategy.uses_unlabeled(EARLY)
    run_steps(strategy, [(double_batch(), STEP)], Runtime("cpu", "32"), lr=0.0)
    assert strategy.rarity[0].min() < 1


def test_without_unlabeled_samples_rarities_are_those_of_labels():
    strategy, batch = made(), double_batch(labeled=4, unlabeled=0)
    run_steps(strategy, [(batch, STEP)], Runtime("cpu", "32"), lr=0.0)
    assert strategy.rarity[0].unique().tolist() == [1]
    assert strategy.labeled.sum() == batch.labeled.label.numel()


def test_the_decay_has_to_leave_a_half_as_long_one():
    with pytest.raises(ValueError, match=r"greater than or equal to 0\.5"):
        DHC.Options(decay=0.4)
