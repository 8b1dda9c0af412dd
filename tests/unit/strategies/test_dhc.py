"""DHC: losses with weights of classes against the public code, and the state behind these weights."""

import pytest
import torch

from semiseg.engine.runtime import Runtime
from semiseg.interfaces.batch import Batch, Step
from semiseg.losses.cross_entropy import weighted_cross_entropy
from semiseg.losses.dice_form import DiceForm
from semiseg.strategies.cps import CrossPseudoSupervision
from semiseg.strategies.dhc import DHC
from semiseg.strategy_parts.class_weights import Difficulty, Rarity, counts_of, hard_dice
from semiseg.testing.batches import in_double
from semiseg.testing.published.golden import Golden, Pointwise, wave_batch
from semiseg.testing.steps import run_steps
from semiseg.testing.strategy import CLASSES, StrategyContract, make_batch

STEP = Step(40, 100, 10)
EARLY = Step(10, 100, 10)
ROLES = ("student_a", "student_b")
CODE = "xmed-lab/DHC@b3dee97:code"
GOLDEN = {
    "cross entropies": Golden(
        source=f"{CODE}/train_dhc.py:140-214,303-325 with sup_loss wce, utils/loss.py:130-146",
        strategy=DHC,
        options={"loss": "cross_entropy", "floor": 1e-6},
        networks={"student_a": 2.3, "student_b": 3.0},
        classes=3,
        loss=4.05827583999,
        gradients={
            "student_a": (
                "0.1167525559 -0.09895715526 -0.3055973618 0.07339212572 -0.06298081885 0.06959453153 -0.1901446817 "
                "0.1619379741 0.2360028303"
            ),
            "student_b": (
                "-0.1129937124 0.09034153885 0.2461124655 -0.07148480609 0.1188099307 -0.3459290229 0.1844785185 "
                "-0.2091514696 0.09981655745"
            ),
        },
        relative=1e-6,
    ),
    # Its loss is -w Dice, so that the means of both networks' weights are added here; its constant is set to ours.
    "with Dice": Golden(
        source=f"{CODE}/train_dhc.py:140-214,303-325, utils/loss.py:80-206 with smooth=1e-5",
        strategy=DHC,
        options={"floor": 1e-6},
        form=DiceForm(background=False, batch=True),
        networks={"student_a": 2.3, "student_b": 3.0},
        classes=3,
        loss=2.61927949402 + (3 + 2.760639695 + 2.572131867 + 2.97) / 2,
        gradients={
            "student_a": (
                "0.142318451 -0.1214372559 -0.247646984 0.06540470562 -0.03978033665 -0.002878903931 -0.2077231566 "
                "0.1612175925 0.250525888"
            ),
            "student_b": (
                "-0.1611828072 0.1314017569 0.3288714651 -0.01298607977 0.06820991544 -0.4260100594 0.1741688869 "
                "-0.1996116724 0.09713859433"
            ),
        },
        relative=1e-6,
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_loss_and_gradients_are_those_of_the_public_code(name):
    GOLDEN[name].check()


def test_weights_of_three_steps_are_those_of_the_public_code():
    """train_dhc.py:140-214, with networks whose pseudo-labels have all classes, as the labels do."""
    batch = wave_batch(3, 3)
    hard, rare = Difficulty.start(3), Rarity.start(3)
    labels, labeled = batch.labeled.label, counts_of(batch.labeled.label, 3)
    for first, second, by_difficulty, by_rarity in (
        (2.3, 2.4, [2.521777121, 3, 2.760639695], [0, 2.572131867, 2.983458185]),
        (2.5, 2.9, [0.2521990802, 0.3016269566, 3], [0.02076160284, 2.576410549, 2.953623603]),
        (3.1, 5.1, [3, 2.270482015, 2.176912271], [0.04289497706, 2.580646443, 2.924087367]),
    ):
        hard = hard.after(*hard_dice(Pointwise(3, first)(batch.labeled.image).argmax(1), labels, 3), decay=0.98)
        pseudo = counts_of(Pointwise(3, second)(batch.unlabeled.image).argmax(1), 3)
        rare = rare.after(labeled, pseudo, decay=0.99)
        labeled = torch.zeros_like(labeled)  # there, all labels are counted before the first step
        assert hard.weights(1e-9).tolist() == pytest.approx(by_difficulty, rel=1e-6)
        assert rare.weights(1e-9).tolist() == pytest.approx(by_rarity, rel=1e-6, abs=1e-8)


def made(**options):
    return StrategyContract.make(DHC, {"ramp": "constant", "ramp_share": 0, **options}).double()


def double_batch(**sizes):
    return in_double(make_batch(**sizes))


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
