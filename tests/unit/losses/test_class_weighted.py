"""Losses with weights of classes: cross entropy of a batch, and Dice."""

import pytest
import torch
import torch.nn.functional as F

from semiseg.codings.classes import Classes
from semiseg.codings.regions import Regions
from semiseg.losses.cross_entropy import weighted_cross_entropy
from semiseg.losses.dice_form import DiceForm
from semiseg.types import IGNORE

WEIGHTS = torch.tensor([0.1, 1.0, 3.0])


def logits_and_labels():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn((2, 3, 4, 5), generator=generator, dtype=torch.float64, requires_grad=True)
    return logits, torch.randint(0, 3, (2, 4, 5), generator=generator)


@pytest.mark.parametrize("ignored", [False, True])
def test_cross_entropy_is_torch_s(ignored):
    logits, labels = logits_and_labels()
    if ignored:
        labels[:, ::2] = IGNORE
    found = weighted_cross_entropy(logits, labels, WEIGHTS)
    wanted = F.cross_entropy(logits, labels, WEIGHTS.double(), ignore_index=IGNORE)
    assert found.item() == pytest.approx(wanted.item(), rel=1e-12)
    (one,), (other,) = (torch.autograd.grad(value, logits) for value in (found, wanted))
    assert torch.allclose(one, other, atol=1e-15)


def test_cross_entropy_by_hand():
    """Probabilities of 1/2 and 1/4 of the labels, whose classes have the weights 3 and 0.1."""
    logits = torch.tensor([[0.25, 0.25, 0.5], [0.25, 0.5, 0.25]]).log().T[None, :, :, None]
    found = weighted_cross_entropy(logits, torch.tensor([[[2], [0]]], dtype=torch.uint8), WEIGHTS)
    assert found.item() == pytest.approx((3 * torch.log(torch.tensor(2.0)) + 0.1 * torch.log(torch.tensor(4.0))) / 3.1)


def test_cross_entropy_without_a_known_voxel_is_zero():
    logits, labels = logits_and_labels()
    found = weighted_cross_entropy(logits, torch.full_like(labels, IGNORE), WEIGHTS)
    found.backward()
    assert found.item() == 0
    assert not logits.grad.any()


def test_dice_has_the_weights_of_its_classes():
    """Two voxels of the classes 0 and 1, both with p = (1/2, 1/2, 0): Dice is 1/2 for each, and 1 for the third."""
    p = torch.tensor([[0.5, 0.5], [0.5, 0.5], [0.0, 0.0]], dtype=torch.float64)[None, :, None]
    labels = torch.tensor([[[0, 1]]])
    for form, wanted in (
        (DiceForm(), (0.1 * 0.5 + 1 * 0.5) / 3),
        (DiceForm(background=False), 1 * 0.5 / 2),
        (DiceForm(absent="ignored"), (0.1 * 0.5 + 1 * 0.5) / 2),
        (DiceForm(background=False, batch=True, absent="ignored"), 0.5),
    ):
        for has_ignored in (False, True):
            found = Classes(form).dice_of_probabilities(p, labels, has_ignored, WEIGHTS)
            assert found.tolist() == pytest.approx([wanted], abs=1e-5)
    plain = Classes().dice_of_probabilities(p, labels)
    assert torch.equal(Classes().dice_of_probabilities(p, labels, weights=torch.ones(3)), plain)


def test_dice_of_regions_has_the_weights_of_regions():
    coding = Regions([(1, 2), (2,)], 3)
    p = torch.full((1, 2, 1, 2), 0.5, dtype=torch.float64)
    labels = torch.tensor([[[2, 1]]])
    outer, inner = 1 - 2 * 1 / 3, 1 - 2 * 0.5 / 2
    found = coding.dice_of_probabilities(p, labels, weights=torch.tensor([0.5, 2.0]))
    assert found.tolist() == pytest.approx([(0.5 * outer + 2 * inner) / 2], abs=1e-5)
