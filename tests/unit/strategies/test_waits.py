"""Steps of labels alone: the supervised loss of all samples drawn, and nothing else."""

import pytest
import torch

from semiseg.interfaces.batch import Step
from semiseg.strategies.cps import CrossPseudoSupervision
from semiseg.strategies.cross_teaching import CrossTeaching
from semiseg.strategies.entropy_minimization import EntropyMinimization
from semiseg.strategies.fixmatch import FixMatch
from semiseg.strategies.pi_model import PiModel
from semiseg.strategies.pseudo_label import PseudoLabel
from semiseg.strategies.self_training import SelfTraining
from semiseg.testing.batches import in_double
from semiseg.testing.strategy import StrategyContract, make_batch

LATE = {"ramp": "step", "ramp_share": 0.5}
WAITS = [
    (CrossPseudoSupervision, {"wait_share": 0.5}),
    (CrossTeaching, LATE),
    (EntropyMinimization, LATE),
    (FixMatch, LATE),
    (PiModel, LATE),
    (PseudoLabel, {"wait_share": 0.5}),
    (PseudoLabel, {"wait_share": 0.2, "ramp": "step", "ramp_share": 0.3}),
    (SelfTraining, {}),
]


def step(strategy, index):
    stage = strategy.stages()[index >= 50 and len(strategy.stages()) - 1]
    return Step(index, 100, 10, stage.name, index % 50, 50, seed=2)


@pytest.mark.parametrize(("strategy_class", "options"), WAITS)
def test_a_wait_is_over_where_unlabeled_samples_begin_to_matter(strategy_class, options):
    strategy = StrategyContract.make(strategy_class, options)
    assert [strategy.uses_unlabeled(step(strategy, index)) for index in (0, 49, 50, 99)] == [False, False, True, True]


@pytest.mark.parametrize(("strategy_class", "options"), WAITS)
def test_the_loss_of_a_wait_is_the_mean_over_all_labeled_samples(strategy_class, options):
    strategy = StrategyContract.make(strategy_class, {**options, "loss": "dice_ce"}).double()
    batch = in_double(make_batch(labeled=4, unlabeled=0))
    coding, label = strategy.coding, batch.labeled.label
    for losses in strategy.losses(batch, step(strategy, 20)):
        (role,) = losses.updated
        logits = strategy.networks[role](batch.labeled.image)
        expected = torch.stack(
            [coding.loss(logits[i : i + 1], label[i : i + 1], "dice_ce")[0] for i in range(4)]
        ).mean()
        assert losses.total.item() == pytest.approx(expected.item(), abs=1e-12)


def test_a_linear_ramp_begins_at_its_first_step():
    strategy = StrategyContract.make(PseudoLabel, {"wait_share": 0.3, "ramp": "linear", "ramp_share": 0.4})
    assert [strategy.uses_unlabeled(step(strategy, index)) for index in (29, 30, 31)] == [False, True, True]
    assert StrategyContract.make(PseudoLabel, {}).uses_unlabeled(step(strategy, 0))


def test_a_method_without_a_wait_always_uses_unlabeled_samples():
    assert StrategyContract.make(FixMatch, {}).uses_unlabeled(step(StrategyContract.make(FixMatch, {}), 0))
