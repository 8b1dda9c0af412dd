"""Equations 2 to 4 of the CPS paper, written out with MONAI's Dice loss."""

import pytest
import torch
from monai.losses import DiceLoss

from semiseg.codings.classes import Classes
from semiseg.interfaces.batch import Step
from semiseg.losses.dice_form import DiceForm
from semiseg.strategies.cps import CrossPseudoSupervision
from semiseg.strategies.supervised import Supervised
from semiseg.testing.batches import in_double
from semiseg.testing.strategy import StrategyContract, make_batch

LAST = Step(99, 100, 10)
DICE = DiceLoss(softmax=True, to_onehot_y=True)


def cps(**options):
    return StrategyContract.make(CrossPseudoSupervision, {"loss": "dice", **options}).double()


def double_batch(**sizes):
    return in_double(make_batch(**sizes))


def equations(strategy, batch, phi, joint=False):
    """L = L_sup + phi L_cps over both networks, as the paper prints it, or with one mean over all samples."""
    a, b = (strategy.networks[role] for role in ("student_a", "student_b"))
    x_l, x_u, y = batch.labeled.image, batch.unlabeled.image, batch.labeled.label[:, None]
    supervised = DICE(a(x_l), y) + DICE(b(x_l), y)
    crossed = 0
    for x in [torch.cat([x_l, x_u])] if joint else (x_u, x_l):
        if len(x):
            y_a, y_b = (net(x).argmax(1, keepdim=True) for net in (a, b))
            crossed = crossed + DICE(a(x), y_b) + DICE(b(x), y_a)
    return supervised + phi * crossed


@pytest.mark.parametrize("mean", ["joint", "each_stream"])
@pytest.mark.parametrize("sizes", [{"labeled": 2, "unlabeled": 2}, {"labeled": 1, "unlabeled": 3}])
def test_loss_and_gradients_are_the_equations(sizes, mean):
    strategy, batch = cps(phi=0.7, pseudo_mean=mean), double_batch(**sizes)
    expected = equations(strategy, batch, 0.7, joint=mean == "joint")
    wanted = torch.autograd.grad(expected, list(strategy.parameters()))
    total = 0
    for losses in strategy.losses(batch, LAST):
        losses.total.backward()
        total = total + losses.total.detach()
    assert total.item() == pytest.approx(expected.item(), abs=1e-12)
    for parameter, gradient in zip(strategy.parameters(), wanted, strict=True):
        assert torch.allclose(parameter.grad, gradient, atol=1e-13, rtol=1e-10)


@pytest.mark.parametrize(
    "options", [{"pseudo_mean": "joint"}, {"pseudo_mean": "each_stream"}, {"pseudo_on": "unlabeled"}]
)
def test_sums_over_the_batch_are_over_the_samples_of_the_loss(options):
    strategy, batch = cps(phi=0.7, wait_share=0, **options), double_batch(labeled=2, unlabeled=3)
    strategy.coding = Classes(DiceForm(batch=True))
    over_batch = DiceLoss(softmax=True, to_onehot_y=True, batch=True)
    nets = [strategy.networks[role] for role in ("student_a", "student_b")]
    x_l, x_u = batch.labeled.image, batch.unlabeled.image
    images = {"joint": [torch.cat([x_l, x_u])], "each_stream": [x_l, x_u]}.get(options.get("pseudo_mean"), [x_u])
    for losses, net, peer in zip(strategy.losses(batch, LAST), nets, reversed(nets), strict=True):
        pseudo = sum(over_batch(net(x), peer(x).argmax(1, keepdim=True)) for x in images)
        expected = over_batch(net(x_l), batch.labeled.label[:, None]) + 0.7 * pseudo
        assert losses.total.item() == pytest.approx(expected.item(), abs=1e-12)


def test_without_unlabeled_samples_both_losses_are_on_the_labeled():
    strategy, batch = cps(), double_batch(labeled=4, unlabeled=0)
    total = sum(losses.total for losses in strategy.losses(batch, LAST))
    assert total.item() == pytest.approx(equations(strategy, batch, 0.5).item(), abs=1e-12)


def test_identical_networks_learn_from_their_own_argmax():
    strategy, batch = cps(), double_batch()
    strategy.networks["student_b"].load_state_dict(strategy.networks["student_a"].state_dict())
    net = strategy.networks["student_a"]
    own = net(batch.unlabeled.image).argmax(1, keepdim=True)
    own_l = net(batch.labeled.image).argmax(1, keepdim=True)
    one = DICE(net(batch.labeled.image), batch.labeled.label[:, None]) + 0.5 * DICE(
        torch.cat([net(batch.labeled.image), net(batch.unlabeled.image)]), torch.cat([own_l, own])
    )
    a, b = strategy.losses(batch, LAST)
    assert a.total.item() == pytest.approx(one.item(), abs=1e-12)
    assert b.total.item() == pytest.approx(one.item(), abs=1e-12)


def test_no_gradient_goes_into_the_pseudo_label():
    strategy, batch = cps(), double_batch()
    first = next(iter(strategy.losses(batch, LAST)))
    first.total.backward()
    assert all(p.grad is not None for p in strategy.networks["student_a"].parameters())
    assert all(p.grad is None for p in strategy.networks["student_b"].parameters())


@pytest.mark.parametrize(
    ("options", "first"),
    [({"wait_epochs": 3}, 30), ({"wait_share": 0.4}, 40), ({"wait_share": 0}, 0), ({"wait_share": None}, 0), ({}, 40)],
)
def test_the_wait_period_is_fully_supervised(options, first):
    strategy, batch = cps(**options), double_batch()
    for index in (0, max(first - 1, 0), first, 99):
        pseudo = [losses.parts["pseudo"].item() for losses in strategy.losses(batch, Step(index, 100, 10))]
        assert all((value > 0) == (index >= first) for value in pseudo)


def test_by_default_it_waits_160_steps_within_bounds():
    strategy = cps()
    for total, first in ((100, 40), (400, 160), (1000, 160), (250_000, 3750)):
        assert not strategy.uses_pseudo_labels(Step(first - 1, total, 10))
        assert strategy.uses_pseudo_labels(Step(first, total, 10))


def test_one_wait_period_at_a_time():
    with pytest.raises(ValueError, match="wait_epochs or wait_share, not both"):
        CrossPseudoSupervision.Options(wait_epochs=1, wait_share=0.1)


def test_cross_entropy_and_unlabeled_only():
    strategy = cps(pseudo_loss="cross_entropy", pseudo_on="unlabeled", phi=1.5)
    batch = double_batch()
    a, b = (strategy.networks[role] for role in ("student_a", "student_b"))
    x = batch.unlabeled.image
    expected = DICE(a(batch.labeled.image), batch.labeled.label[:, None]) + 1.5 * torch.nn.functional.cross_entropy(
        a(x), b(x).argmax(1)
    )
    assert next(iter(strategy.losses(batch, LAST))).total.item() == pytest.approx(expected.item(), abs=1e-12)


def test_prediction_is_the_mean_confidence_of_both_networks():
    strategy, images = cps(), double_batch().images()
    both = [torch.softmax(net(images), 1) for net in strategy.networks.values()]
    assert torch.allclose(strategy.predict(images), (both[0] + both[1]) / 2, atol=1e-6)


def test_supervised_is_monai_s_dice():
    strategy, batch = StrategyContract.make(Supervised, {"loss": "dice"}).double(), double_batch(labeled=3, unlabeled=0)
    (losses,) = strategy.losses(batch, LAST)
    expected = DICE(strategy.networks["model"](batch.labeled.image), batch.labeled.label[:, None])
    assert losses.total.item() == pytest.approx(expected.item(), abs=1e-12)
