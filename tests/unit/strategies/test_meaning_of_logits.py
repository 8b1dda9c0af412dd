"""What logits mean is said in one place: a strategy of other probabilities predicts and labels by them."""

import torch

from semiseg.interfaces.batch import Step
from semiseg.strategies.cps import CrossPseudoSupervision
from semiseg.testing.strategy import SIZE, StrategyContract, make_batch


class Overlapping(CrossPseudoSupervision):
    """Each class by itself; a voxel's label is the last class that is likely."""

    def probabilities(self, logits):
        return torch.sigmoid(logits)

    def hard(self, logits):
        likely = torch.sigmoid(logits) > 0.5
        return (likely * torch.arange(logits.shape[1]).view(1, -1, 1, 1, 1)).amax(dim=1).to(torch.uint8)


def made(cls):
    return StrategyContract.make(cls, {"loss": "dice", "wait_share": 0})


def test_predictions_and_pseudo_labels_are_by_the_strategy_s_own_meaning_of_logits():
    images = torch.randn(2, 2, *SIZE, generator=torch.Generator().manual_seed(1))
    strategy, usual = made(Overlapping), made(CrossPseudoSupervision)
    logits = {role: strategy.run(role, images) for role in strategy.networks}
    mean = sum(torch.sigmoid(each) for each in logits.values()) / 2
    torch.testing.assert_close(strategy.predict(images), mean)
    assert not torch.allclose(usual.predict(images), mean)
    torch.testing.assert_close(usual.predict(images).sum(dim=1), torch.ones(2, *SIZE))
    for output in logits.values():
        label = strategy.pseudo_label("student_a", output, make_batch())
        last = torch.where(output[:, 2] > 0, 2, torch.where(output[:, 1] > 0, 1, 0))  # of three classes
        assert torch.equal(label.long(), last)
        assert torch.equal(usual.hard(output).long(), output.argmax(dim=1))


def test_losses_are_against_these_pseudo_labels():
    batch, step = make_batch(), Step(0, 10, 0)
    one, other = (
        torch.stack([each.total for each in made(cls).losses(batch, step)])
        for cls in (Overlapping, CrossPseudoSupervision)
    )
    assert not torch.equal(one, other)
