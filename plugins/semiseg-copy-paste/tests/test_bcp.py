"""BCP: what is mixed, the loss of regions against the published formula, and the two stages."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from helpers_copy_paste import double_batch, with_other_teacher

from semiseg.interfaces.batch import Batch, Step
from semiseg.registry import load
from semiseg.strategy_parts.confidence import IGNORE
from semiseg.strategy_parts.mixing import copy_paste_masks
from semiseg.testing.strategy import SIZE, StrategyContract
from semiseg_copy_paste.bcp import BidirectionalCopyPaste
from semiseg_copy_paste.components import largest_components
from semiseg_copy_paste.copy_paste import region_loss

PRETRAIN = Step(3, 100, 10, "pretrain", 3, 12, seed=2)
SELF_TRAIN = Step(40, 100, 10, "self_train", 28, 88, seed=2)
VARIANT = {
    "pretrain_share": 0.5, "weight": 1, "side": 0.5, "largest_component": False, "predict_with": "teacher",
    "loss": "dice",
}  # fmt: skip


class TestBidirectionalCopyPaste(StrategyContract):
    @pytest.fixture
    def strategy_class(self):
        return BidirectionalCopyPaste

    @pytest.fixture(params=[{}, VARIANT], ids=["published", "variant"])
    def options(self, request):
        return request.param


def made(**options):
    return with_other_teacher(BidirectionalCopyPaste, options)


def published_region(logits, labels, mask, kind="dice_ce"):
    """Dice of each sample and class, and cross entropy, in a mask of 0 and 1: BCP_utils.py, mix_loss, one region."""
    p, target = logits.softmax(1), F.one_hot(labels, logits.shape[1]).movedim(-1, 1).double()
    m = mask[:, None]
    overlap, sums = (p * target * m).sum((2, 3, 4)), ((p + target) * m).sum((2, 3, 4))
    dice = 1 - ((2 * overlap + 1e-5) / (sums + 1e-5)).mean()
    ce = (F.cross_entropy(logits, labels, reduction="none") * mask).sum() / (mask.sum() + 1e-16)
    return dice if kind == "dice" else (dice + ce) / 2


def published_direction(logits, outside, inside, box, weights):
    """A mixed image's loss: outside of the box and inside of it, each with its weight."""
    first, second = published_region(logits, outside, 1 - box), published_region(logits, inside, box)
    return weights[0] * first + weights[1] * second


def boxes_of(slots, step, side=2 / 3):
    return copy_paste_masks(SIZE, slots[::2], step, "bcp", side).double()


def same_gradients(found, wanted, network):
    pairs = zip(*(torch.autograd.grad(total, list(network.parameters())) for total in (found, wanted)), strict=True)
    return all(torch.allclose(a, b, atol=1e-12, rtol=1e-9) for a, b in pairs)


def seen_by(strategy, role):
    """What a network is given, as it is given."""
    images = []
    strategy.networks[role].register_forward_pre_hook(lambda module, args: images.append(args[0]))
    return images


def constant_batch(labeled, unlabeled):
    """Volumes of one value each: 1, 2, … labeled, with their number modulo 3 as label, and 10, 20, … unlabeled."""

    def volumes(values):
        return torch.stack([torch.full((2, *SIZE), float(value)) for value in values]).double()

    batch = double_batch(labeled=labeled, unlabeled=unlabeled)
    labels = torch.stack([torch.full(SIZE, i % 3) for i in range(1, labeled + 1)])
    return Batch(
        replace(batch.labeled, image=volumes(range(1, labeled + 1)), label=labels),
        replace(batch.unlabeled, image=volumes([10 * i for i in range(1, unlabeled + 1)])),
    )


def values(images, box, inside):
    """The one value that each image has inside of its box, or outside of it."""
    found = []
    for image, where in zip(images, box.bool(), strict=True):
        (value,) = image[:, where if inside else ~where].unique().tolist()
        found.append(value)
    return found


def test_it_is_found_by_its_name():
    assert load("strategy", "bcp") is BidirectionalCopyPaste


def test_both_directions_are_pasted_as_published():
    strategy, batch = made(), constant_batch(4, 4)
    images = seen_by(strategy, "model")
    list(strategy.losses(batch, SELF_TRAIN))
    box = boxes_of(batch.labeled.slots, SELF_TRAIN)
    assert box.sum((1, 2, 3)).tolist() == [5**3, 5**3]  # 2/3 of 8 voxels a side
    assert values(images[0], box.repeat(2, 1, 1, 1), inside=False) == [1, 3, 20, 40]
    assert values(images[0], box.repeat(2, 1, 1, 1), inside=True) == [10, 30, 2, 4]


@pytest.mark.parametrize("step", [PRETRAIN, SELF_TRAIN], ids=["pretrain", "self_train"])
@pytest.mark.parametrize(("side", "voxels"), [(0.25, 2**3), (0.5, 4**3)])
def test_the_sides_of_the_box_are_an_option(step, side, voxels):
    strategy, batch = made(side=side), constant_batch(2, 2)
    images = seen_by(strategy, "model")
    list(strategy.losses(batch, step))
    pasted = 2 if step is PRETRAIN else 10
    assert (images[0][0, 0] == pasted).sum() == voxels


@pytest.mark.parametrize("sizes", [(2, 4), (4, 2)])
def test_there_are_as_many_mixes_as_groups_of_the_smaller_stream(sizes):
    strategy, batch = made(), constant_batch(*sizes)
    mixed, labeled_by_teacher = seen_by(strategy, "model"), seen_by(strategy, "teacher")
    (losses,) = strategy.losses(batch, SELF_TRAIN)
    smaller = min(batch.labeled, batch.unlabeled, key=len)
    box = boxes_of(smaller.slots, SELF_TRAIN).repeat(2, 1, 1, 1)
    assert values(mixed[0], box, inside=False) == [1, 20]
    assert values(mixed[0], box, inside=True) == [10, 2]
    assert len(labeled_by_teacher[0]) == 2
    # The mean is over the mixes that there are: the loss is that of a batch without the rest.
    labeled, unlabeled = batch.labeled, batch.unlabeled
    alone = Batch(
        replace(labeled, image=labeled.image[:2], label=labeled.label[:2], count=2, slots=smaller.slots),
        replace(unlabeled, image=unlabeled.image[:2], count=2, slots=smaller.slots),
    )
    (wanted,) = strategy.losses(alone, SELF_TRAIN)
    assert losses.total.item() == pytest.approx(wanted.total.item(), abs=1e-12)


@pytest.mark.parametrize("kind", ["dice", "dice_ce"])
@pytest.mark.parametrize("side", [2 / 3, 0.3])
def test_the_loss_of_a_region_is_the_published_one(kind, side):
    logits = torch.randn(3, 4, *SIZE, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(0, 4, (3, *SIZE))
    box = boxes_of(range(6), SELF_TRAIN, side)
    found = region_loss(logits, torch.where(box.bool(), labels, IGNORE), kind)
    assert found.shape == (3,)
    expected = published_region(logits, labels, box, kind)
    assert found.mean().item() == pytest.approx(expected.item(), abs=1e-12)
    (gradient,), (wanted,) = (torch.autograd.grad(value, logits) for value in (found.mean(), expected))
    assert torch.allclose(gradient, wanted, atol=1e-14)
    assert not gradient[(box == 0)[:, None].expand_as(gradient)].any()


def test_a_region_without_a_voxel_costs_nothing():
    logits = torch.randn(2, 3, *SIZE, requires_grad=True)
    found = region_loss(logits, torch.full((2, *SIZE), IGNORE), "dice_ce")
    assert found.tolist() == [0, 0]


@pytest.mark.parametrize("sizes", [(2, 2), (4, 4)])
def test_self_training_is_the_published_loss_and_gradient(sizes):
    strategy, batch = made(), double_batch(labeled=sizes[0], unlabeled=sizes[1])
    model, teacher = strategy.networks["model"], strategy.networks["teacher"]
    l, u = batch.labeled, batch.unlabeled  # noqa: E741
    box = boxes_of(l.slots, SELF_TRAIN)
    pseudo = largest_components(teacher(u.image).argmax(1))
    m = box[:, None]
    mixed_l = l.image[::2] * (1 - m) + u.image[::2] * m
    mixed_u = u.image[1::2] * (1 - m) + l.image[1::2] * m
    expected = published_direction(model(mixed_l), l.label[::2], pseudo[::2], box, (1, 0.5))
    expected = expected + published_direction(model(mixed_u), pseudo[1::2], l.label[1::2], box, (0.5, 1))
    (losses,) = strategy.losses(batch, SELF_TRAIN)
    assert losses.updates == {"model"}
    assert losses.total.item() == pytest.approx(expected.item(), abs=1e-12)
    assert same_gradients(losses.total, expected, model)


def test_pretraining_is_the_published_loss_of_labeled_samples_alone():
    strategy, batch = made(), double_batch(labeled=4, unlabeled=2)
    model, l = strategy.networks["model"], batch.labeled  # noqa: E741
    box = boxes_of(l.slots, PRETRAIN)
    logits = model(l.image[::2] * (1 - box[:, None]) + l.image[1::2] * box[:, None])
    labels = torch.where(box.bool(), l.label[1::2], l.label[::2])
    expected = published_region(logits, labels, torch.ones_like(box))
    (losses,) = strategy.losses(batch, PRETRAIN)
    assert losses.total.item() == pytest.approx(expected.item(), abs=1e-12)
    assert same_gradients(losses.total, expected, model)
    (again,) = strategy.losses(double_batch(labeled=4, unlabeled=0), SELF_TRAIN)
    assert "pseudo" not in again.parts


def test_a_filled_step_of_pretraining_makes_as_many_mixes_as_one_of_self_training():
    """The published batch is 4 + 4: four mixes, and two in pre-training, of the 4 labeled samples alone."""
    strategy = made()
    seen = seen_by(strategy, "model")
    for labeled, unlabeled, step in ((8, 0, PRETRAIN), (4, 4, SELF_TRAIN), (4, 4, PRETRAIN)):
        list(strategy.losses(double_batch(labeled=labeled, unlabeled=unlabeled), step))
    assert list(map(len, seen)) == [4, 4, 2]


def test_pseudo_labels_are_one_piece_a_class_unless_told_otherwise():
    batch = double_batch()
    for option in (True, False):
        strategy = made(largest_component=option)
        raw = strategy.networks["teacher"](batch.unlabeled.image).argmax(1)
        found = strategy._pseudo_labels(batch.unlabeled.image)
        assert torch.equal(found, largest_components(raw) if option else raw)
        assert torch.equal(found, raw) != option


def test_the_weight_is_constant():
    """The public code computes a ramp-up, and only logs it."""
    strategy, batch = made(), double_batch()
    for index in (12, 13, 50, 99):
        (losses,) = strategy.losses(batch, Step(index, 100, 10, "self_train", index - 12, 88))
        supervised, pseudo = losses.parts["supervised"].item(), losses.parts["pseudo"].item()
        assert losses.total.item() == pytest.approx(supervised + 0.5 * pseudo, abs=1e-12)
        assert pseudo > 0


@pytest.mark.parametrize("name", ["model", "teacher"])
def test_the_network_of_the_option_predicts(name):
    strategy, images = made(predict_with=name), double_batch().images()
    assert torch.equal(strategy.predict(images), strategy.networks[name](images).softmax(1))


def test_a_box_depends_on_step_and_samples_alone():
    strategy, batch = made(), double_batch(labeled=4, unlabeled=4)
    (one,), (two,) = (list(strategy.losses(batch, SELF_TRAIN)) for _ in range(2))
    assert one.total.item() == two.total.item()
    (other,) = strategy.losses(batch, replace(SELF_TRAIN, index=41))
    assert one.total.item() != other.total.item()


def test_streams_have_no_other_sizes_than_twos():
    needs = BidirectionalCopyPaste.needs
    assert (needs.labeled.unit, needs.labeled.minimum, needs.unlabeled.unit, needs.unlabeled.minimum) == (2, 2, 2, 0)
    assert BidirectionalCopyPaste.whole_batch
