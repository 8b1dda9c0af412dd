"""CPS with CutMix against its formula, written out pair by pair."""

import math

import pytest
import torch
import torch.nn.functional as F
from monai.losses import DiceLoss
from pydantic import ValidationError

from semiseg.engine.runtime import Runtime
from semiseg.engine.step_modes import StepMode, micro_batches
from semiseg.interfaces.batch import Step
from semiseg.registry import load
from semiseg.strategy_parts.mixing import cutmix_masks
from semiseg.testing.batches import in_double
from semiseg.testing.steps import run_steps
from semiseg.testing.strategy import SIZE, StrategyContract, make_batch
from semiseg_copy_paste.cps_cutmix import CutMixCPS

DICE = DiceLoss(softmax=True, to_onehot_y=True)
STEP = Step(40, 100, 10, seed=2)
VARIANT = {
    "weight": 5, "wait_share": 0.3, "ramp": "sigmoid", "ramp_share": 0.6, "pseudo_loss": "dice",
    "boxes": 1, "mixed_share": (0.5, 0.5), "loss": "dice_ce",
}  # fmt: skip


class TestCutMixCPS(StrategyContract):
    @pytest.fixture
    def strategy_class(self):
        return CutMixCPS

    @pytest.fixture(params=[{}, VARIANT], ids=["published", "variant"])
    def options(self, request):
        return request.param


def made(**options):
    return StrategyContract.make(CutMixCPS, {"loss": "dice", **options}).double()


def double_batch(**sizes):
    return in_double(make_batch(**sizes))


def masks_of(stream, step=STEP):
    """One mask for each two samples, as 0 and 1."""
    return cutmix_masks(SIZE, stream.slots[::2], step, "cps_cutmix").double()


def gradients(total, network):
    return torch.autograd.grad(total, list(network.parameters()))


def equal(found, wanted):
    return all(torch.allclose(a, b, atol=1e-12, rtol=1e-9) for a, b in zip(found, wanted, strict=True))


def test_it_is_found_by_its_name():
    assert load("strategy", "cps_cutmix") is CutMixCPS


def test_two_samples_and_their_labels_are_mixed_voxel_by_voxel():
    strategy, batch = made(), double_batch(labeled=1, unlabeled=4)
    images = strategy.student_images(batch, STEP)
    assert len(images) == 3
    assert torch.equal(images[0], batch.labeled.image[0])
    u, masks = batch.unlabeled.image, masks_of(batch.unlabeled)
    for pair, mask in enumerate(masks):
        assert 0 < mask.mean() < 1
        # As the public code has it: u0 * (1 - mask) + u1 * mask.
        assert torch.equal(images[1 + pair], u[2 * pair] * (1 - mask) + u[2 * pair + 1] * mask)
    assert not torch.equal(masks[0], masks[1])


@pytest.mark.parametrize("sizes", [{"labeled": 2, "unlabeled": 2}, {"labeled": 1, "unlabeled": 4}])
@pytest.mark.parametrize("pseudo_loss", ["cross_entropy", "dice"])
def test_loss_and_gradient_are_the_formula(sizes, pseudo_loss):
    strategy, batch = made(weight=0.7, pseudo_loss=pseudo_loss), double_batch(**sizes)
    u0, u1 = batch.unlabeled.image[::2], batch.unlabeled.image[1::2]
    masks = masks_of(batch.unlabeled)
    mixed = u0 * (1 - masks[:, None]) + u1 * masks[:, None]
    found = list(strategy.losses(batch, STEP))
    assert [losses.updates for losses in found] == [{"student_a"}, {"student_b"}]
    for losses, (own, other) in zip(found, [("student_a", "student_b"), ("student_b", "student_a")], strict=True):
        network, teacher = strategy.networks[own], strategy.networks[other]
        # Mixed logits have the mixed argmax, as the public code computes it.
        labels = (teacher(u0) * (1 - masks[:, None]) + teacher(u1) * masks[:, None]).argmax(1)
        supervised = DICE(network(batch.labeled.image), batch.labeled.label[:, None])
        on_mixed = network(mixed)
        ce, dice = F.cross_entropy(on_mixed, labels), DICE(on_mixed, labels[:, None])
        expected = supervised + 0.7 * (ce if pseudo_loss == "cross_entropy" else dice)
        assert losses.total.item() == pytest.approx(expected.item(), abs=1e-12)
        assert equal(gradients(losses.total, network), gradients(expected, network))


def test_of_two_equal_networks_each_learns_its_own_argmax():
    strategy, batch = made(), double_batch()
    one, two = strategy.networks.values()
    two.load_state_dict(one.state_dict())
    a, b = strategy.losses(batch, STEP)
    assert a.total.item() == b.total.item()
    labels = strategy.pseudo_label("student_a", one(batch.unlabeled.image), batch).long()
    masks = masks_of(batch.unlabeled).bool()
    own = F.cross_entropy(one(strategy.student_images(batch, STEP)[2:]), torch.where(masks, labels[1::2], labels[::2]))
    assert a.parts["pseudo"].item() == pytest.approx(own.item(), abs=1e-12)


def test_lessons_are_of_the_unmixed_samples_and_have_no_gradient():
    strategy, batch = made(), double_batch(labeled=1, unlabeled=4)
    assert strategy.teacher_images(batch, strategy.student_images(batch, STEP), STEP) is batch.unlabeled.image
    output = strategy.run("student_a", batch.unlabeled.image)
    pseudo_label = strategy.detached_pseudo_label("student_a", output, batch)
    assert pseudo_label.dtype == torch.uint8
    assert torch.equal(pseudo_label, output.argmax(1).to(torch.uint8))
    losses = strategy.loss("student_b", torch.randn(3, 3, *SIZE), {"student_a": pseudo_label}, batch, STEP)
    assert not losses.total.requires_grad


def test_masks_depend_on_step_and_samples_and_not_on_parts_of_the_batch():
    strategy, batch = made(), double_batch(labeled=2, unlabeled=4)
    whole = strategy.student_images(batch, STEP)[2:]
    parts = micro_batches(batch, 2, strategy.needs)
    mixed = [strategy.student_images(part, STEP)[len(part.labeled) :] for part in parts]
    assert len(parts) > 2
    assert torch.equal(torch.cat(mixed), whole)
    assert torch.equal(strategy.student_images(batch, STEP)[2:], whole)
    assert not torch.equal(strategy.student_images(batch, Step(41, 100, 10, seed=2))[2:], whole)


@pytest.mark.parametrize("unlabeled", [0, 4])
@pytest.mark.parametrize("name", ["joint", "alternating"])
@pytest.mark.parametrize("size", [None, 2, 3])
def test_modes_and_parts_train_alike(unlabeled, name, size):
    batch = double_batch(labeled=3, unlabeled=unlabeled)
    states = []
    for mode in (StepMode(), StepMode(name, size)):
        strategy = made()
        run_steps(strategy, [(batch, STEP)], Runtime("cpu", "32"), mode)
        states.append(list(strategy.state_dict().values()))
    assert equal(*states)


def test_the_published_weight_is_one_at_once_and_a_wait_and_a_ramp_are_options():
    batch = double_batch()
    later = {"weight": 5, "wait_share": 0.2, "ramp": "sigmoid", "ramp_share": 0.4}
    cases = [
        ({"wait_share": 0}, {0: 1, 99: 1}),
        ({}, {39: 0, 40: 1, 99: 1}),
        (later, {0: 0, 19: 0, 20: 5 * math.exp(-5), 40: 5 * math.exp(-1.25), 60: 5, 99: 5}),
    ]
    for options, weights in cases:
        strategy = made(**options)
        for index, weight in weights.items():
            for losses in strategy.losses(batch, Step(index, 100, 10)):
                rest = losses.total.item() - losses.parts["supervised"].item()
                assert rest == pytest.approx(weight * losses.parts["pseudo"].item(), abs=1e-12)
                assert (losses.parts["pseudo"].item() == 0) == (weight == 0)


def test_boxes_and_their_share_are_read():
    batch = double_batch()
    u0, u1 = batch.unlabeled.image
    for share, expected in ((0.0, u0), (1.0, u1)):
        strategy = made(boxes=1, mixed_share=(share, share))
        assert torch.equal(strategy.student_images(batch, STEP)[2], expected)
    with pytest.raises(ValidationError, match="first bound is above"):
        CutMixCPS.Options(mixed_share=(0.5, 0.25))


@pytest.mark.parametrize("name", ["joint", "alternating"])
def test_no_network_is_given_an_empty_batch(name):
    """Not where nothing is unlabeled, nor in parts of a batch that have one stream alone."""
    for sizes in ({"labeled": 2, "unlabeled": 0}, {"labeled": 2, "unlabeled": 2}):
        strategy, seen = made(), []
        for network in strategy.networks.values():
            network.register_forward_pre_hook(lambda _, args, seen=seen: seen.append(len(args[0])))
        run_steps(strategy, [(double_batch(**sizes), STEP)], Runtime("cpu", "32"), StepMode(name, 2))
        assert min(seen) > 0


def test_without_unlabeled_samples_there_is_only_the_supervised_loss():
    strategy, batch = made(), double_batch(labeled=2, unlabeled=0)
    for losses in strategy.losses(batch, STEP):
        assert losses.total.item() == losses.parts["supervised"].item() > 0
        assert losses.parts["pseudo"].item() == 0
