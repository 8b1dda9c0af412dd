"""AD-MT: which teacher's turn it is, the labels of two teachers and a student, and the loss."""

import pytest
import torch
import torch.nn.functional as F

from semiseg.engine.runtime import Runtime
from semiseg.plugin import IGNORE, Step, strong_view
from semiseg.testing.batches import in_double
from semiseg.testing.steps import run_steps
from semiseg.testing.strategy import StrategyContract, make_batch
from semiseg_mean_teacher.ad_mt import ADMT, entropy_weighted, switches

CE_3D = {"pseudo_loss": "cross_entropy", "threshold": 0.4, "ramp_share": 0.4}


class TestADMT(StrategyContract):
    @pytest.fixture
    def strategy_class(self):
        return ADMT

    @pytest.fixture(
        params=[{"threshold": 0.4}, {**CE_3D, "period": 1, "predicts": "teacher_a", "loss": "dice"}], ids=["2d", "3d"]
    )
    def options(self, request):
        return request.param


def made(**options):
    return StrategyContract.make(ADMT, {"loss": "dice", **options}).double()


def double_batch(**sizes):
    return in_double(make_batch(**sizes))


def step_of(strategy, teacher):
    """A late step at which it is a teacher's turn."""
    return next(step for step in (Step(i, 100, 10) for i in range(60, 100)) if strategy.updated(step) == teacher)


def test_turns_are_of_one_to_so_many_steps():
    changes = switches(3, 5, 4000)
    turns = [b - a for a, b in zip((0, *changes), changes, strict=False)]
    assert set(turns) == {1, 2, 3, 4, 5}
    assert sum(turns) / len(turns) == pytest.approx(3, abs=0.15)
    assert switches(3, 5, 4000) == changes
    assert switches(4, 5, 4000) != changes


def test_only_the_teacher_whose_turn_it_is_moves():
    strategy = made(decay=0.5, period=1, threshold=0)
    weights = lambda name: [p.clone() for p in strategy.networks[name].parameters()]  # noqa: E731
    for index in (10, 11):
        step = Step(index, 100, 10)
        before = {name: weights(name) for name in ("teacher_a", "teacher_b")}
        run_steps(strategy, [(double_batch(), step)], Runtime("cpu", "32"))
        moved = strategy.updated(step)
        for name, old in before.items():
            new, student = weights(name), weights("student")
            if name == moved:
                assert all(torch.allclose(n, (o + s) / 2) for n, o, s in zip(new, old, student, strict=True))
            else:
                assert all(map(torch.equal, new, old))


def test_the_surer_teacher_counts_more():
    first = torch.tensor([[0.5, 0.5], [1.0, 0.0]]).reshape(2, 2, 1, 1)
    second = torch.tensor([[1.0, 0.0], [0.5, 0.5]]).reshape(2, 2, 1, 1)
    unsure = 1 / (1 + torch.e)  # exp(-1) beside exp(0)
    expected = torch.tensor([unsure * 0.5 + (1 - unsure), unsure * 0.5]).reshape(1, 2, 1, 1)
    found = entropy_weighted(first, second)
    assert torch.allclose(found[:1], expected, atol=1e-6)
    assert torch.allclose(found[1:], expected, atol=1e-6)


class Says(torch.nn.Module):
    """A network that gives one voxel's probabilities everywhere."""

    def __init__(self, *p):
        super().__init__()
        self.logits = torch.nn.Parameter(torch.tensor(p).log())

    def forward(self, images):
        shape = (len(images), len(self.logits), *images.shape[2:])
        return self.logits.reshape(1, -1, *[1] * (images.dim() - 2)).expand(shape)


@pytest.mark.parametrize(
    ("teachers", "student", "label"),
    [
        (((0.9, 0.05, 0.05), (0.9, 0.05, 0.05)), (0.01, 0.98, 0.01), 0),  # teachers agree: the student is not asked
        (((0.6, 0.3, 0.1), (0.3, 0.6, 0.1)), (0.05, 0.05, 0.9), 2),  # they do not, and it is surer
        (((0.9, 0.05, 0.05), (0.2, 0.5, 0.3)), (0.3, 0.3, 0.4), 0),  # they do not, and it is less sure
    ],
)
def test_a_student_that_is_surer_decides_where_teachers_differ(teachers, student, label):
    strategy = made(threshold=0)
    networks = {"teacher_a": Says(*teachers[0]), "teacher_b": Says(*teachers[1]), "student": Says(*student)}
    strategy.networks.update(networks)
    assert strategy._labels(torch.zeros((2, 1, 4, 4, 4)), Step(60, 100, 10)).unique().tolist() == [label]


def test_the_loss_is_written_out_in_the_first_state():
    strategy, batch = made(**CE_3D), double_batch(labeled=2, unlabeled=2)
    step = step_of(strategy, "teacher_a")
    labels = strategy._labels(batch.unlabeled.image, step)
    view = strong_view(batch.unlabeled.image, batch.unlabeled.slots, step, "ad_mt")
    logits = strategy.networks["student"](view)
    each = F.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="none").flatten(1).sum(1)
    expected = 4 * (each / (labels != IGNORE).flatten(1).sum(1)).mean()
    (losses,) = strategy.losses(batch, step)
    assert losses.parts["pseudo"].item() == pytest.approx(expected.item() / 4, abs=1e-9)
    assert (losses.total - losses.parts["supervised"]).item() == pytest.approx(expected.item(), abs=1e-9)


def test_the_second_state_mixes_weak_views_and_their_labels():
    strategy, batch = made(threshold=0), double_batch(labeled=2, unlabeled=2)
    step, images = step_of(strategy, "teacher_b"), batch.unlabeled.image
    labels = strategy._labels(images, step)
    mixed, targets = strategy._strong(batch, step)
    inside = (mixed != images).any(1)
    assert 0 < inside.double().mean() < 1
    other = images[[1, 0]]
    assert torch.equal(mixed, torch.where(inside[:, None], other, images))
    assert torch.equal(targets, torch.where(inside, labels[[1, 0]], labels))
