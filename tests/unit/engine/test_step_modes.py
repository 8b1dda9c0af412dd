"""Every step mode against the joint step as it is written down naively, in float64."""

import copy
from dataclasses import replace

import pytest
import torch

from semiseg.backbones.unet import UNet
from semiseg.backbones.unetr import UNETR
from semiseg.engine.build import build_networks
from semiseg.engine.collectives import alone
from semiseg.engine.runtime import Runtime
from semiseg.engine.step import StepRunner
from semiseg.engine.step_modes import StepMode
from semiseg.interfaces.batch import Batch, LabeledStream, Step, UnlabeledStream
from semiseg.interfaces.co_training import CoTraining
from semiseg.interfaces.losses import Losses
from semiseg.interfaces.roles import Role
from semiseg.interfaces.strategy import StrategyOptions
from semiseg.losses.named import named_loss
from semiseg.seeding import derive_seed
from semiseg.strategies.cps import CrossPseudoSupervision
from semiseg.strategies.supervised import Supervised
from semiseg.strategy_parts.streams import mean_of_each_stream
from semiseg.types import Task

SIZE = (16, 16, 16)
TASK = Task(2, ("background", "a", "b"), SIZE)
STEP = Step(7, 10, 5, seed=3)
ROLES = (Role("student_a"), Role("student_b"))
SMALL_UNET = {"channels": (4, 8, 8), "strides": (2, 2)}
SMALL_UNETR = {"hidden_size": 24, "mlp_dim": 48, "num_heads": 2, "feature_size": 4}


def make_batch(labeled=2, unlabeled=2, size=SIZE):
    generator = torch.Generator().manual_seed(0)
    total = labeled + unlabeled
    images = torch.randn((total, 2, *size), generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 3, (labeled, *size), generator=generator)
    slots, cases = tuple(range(total)), tuple(f"case{i}" for i in range(total))
    return Batch(
        LabeledStream(images[:labeled], labeled, slots[:labeled], cases[:labeled], labels),
        UnlabeledStream(images[labeled:], unlabeled, slots[labeled:], cases[labeled:]),
    )


class MixedTeaching(CoTraining):
    """Pseudo-labels come from images of their own: noisy ones, whose noise is a function of the step and the slot."""

    Options = StrategyOptions

    @classmethod
    def roles(cls, options):
        return ROLES

    def teacher_images(self, batch, student_images, step):
        slots = (*batch.labeled.slots, *batch.unlabeled.slots)
        noise = [torch.randn(student_images.shape[1:], generator=step.generator(slot, "noise")) for slot in slots]
        return student_images + torch.stack(noise)

    def pseudo_label(self, role, output, batch):
        return {"label": output.argmax(1).to(torch.uint8), "sure": (output.max(1).values > 0,)}

    def loss(self, role, output, pseudo_labels, batch, step):
        (pseudo_label,) = pseudo_labels.values()
        errors = named_loss(output, pseudo_label["label"], "cross_entropy") * pseudo_label["sure"][0].double().flatten(
            1
        ).mean(1)
        return Losses(mean_of_each_stream(errors, batch))


def make(backbone, strategy=CrossPseudoSupervision, patch=SIZE):
    task = replace(TASK, patch_size=patch)
    networks = build_networks(ROLES, {role.name: backbone for role in ROLES}, task, seed=1)
    options = strategy.Options(**({"wait_share": 0} if "wait_share" in strategy.Options.model_fields else {}))
    return strategy(options, networks).double()


def naive(strategy, batch, steps):
    """The joint step as it is written: every network's forward under its own random stream, one backward of the sum.

    Returns gradients of the last step by parameter; the strategy is updated by plain gradient descent.
    """
    passes = dict.fromkeys(strategy.networks, 0)

    class Seeded:
        def __init__(self, role, at):
            passes[role] += 1
            self.seed = derive_seed(at.seed, "network", at.index, 0, role, passes[role])

        def __enter__(self):
            torch.manual_seed(self.seed)

        def __exit__(self, *error):
            pass

    for at in steps:
        passes = dict.fromkeys(strategy.networks, 0)
        strategy.attach(lambda role, at=at: Seeded(role, at))
        strategy.train()
        strategy.zero_grad()
        sum(losses.total for losses in strategy.losses(batch, at)).backward()
        gradients = {name: p.grad.clone() for name, p in strategy.named_parameters() if p.grad is not None}
        with torch.no_grad():
            for parameter in strategy.parameters():
                if parameter.grad is not None:
                    parameter.sub_(parameter.grad)
    return gradients


class Recording(torch.optim.SGD):
    """Gradient descent of rate 1 that keeps the gradients it was given, and counts who else has some."""

    def __init__(self, name, strategy):
        self.name, self.strategy, self.gradients, self.others = name, strategy, {}, []
        super().__init__(strategy.networks[name].parameters(), lr=1.0)

    def step(self, closure=None):
        named = {f"networks.{self.name}.{k}": p for k, p in self.strategy.networks[self.name].named_parameters()}
        self.gradients = {name: p.grad.clone() for name, p in named.items() if p.grad is not None}
        mine = {id(p) for p in named.values()}
        self.others = [p for p in self.strategy.parameters() if id(p) not in mine and p.grad is not None]
        super().step(closure)


def run(strategy, batch, steps, mode):
    optimizers = {role: Recording(role, strategy) for role in strategy.networks}
    runner = StepRunner(strategy, optimizers, Runtime("cpu", "32"), mode)
    for at in steps:
        totals = runner(batch, at)
    return {k: g for o in optimizers.values() for k, g in o.gradients.items()}, totals, optimizers


def largest_difference(a, b):
    assert a.keys() == b.keys()
    return max(float((a[key].double() - b[key].double()).abs().max()) for key in a)


def assert_same_step(fresh, modes, batch=None, bitwise=(), steps=(STEP,)):
    batch = batch or make_batch()
    reference = copy.deepcopy(fresh)
    expected = naive(reference, batch, steps)
    scale = max(float(g.abs().max()) for g in expected.values())
    assert scale > 1e-4
    found = {}
    for mode in modes:
        strategy = copy.deepcopy(fresh)
        gradients, _, _ = run(strategy, batch, steps, mode)
        assert largest_difference(gradients, expected) <= 1e-12 * max(scale, 1), mode
        assert largest_difference(strategy.state_dict(), reference.state_dict()) <= 1e-12 * max(scale, 1), mode
        found[mode] = strategy.state_dict()
    for one, two in bitwise:
        assert largest_difference(found[one], found[two]) == 0, (one, two)


MODES = [StepMode(name, m) for name in ("joint", "alternating") for m in (1, 2, 3, 4)]
PAIRS = [(StepMode("joint", m), StepMode("alternating", m)) for m in (1, 2, 3, 4)]


@pytest.mark.slow
@pytest.mark.parametrize("backbone", [UNet(UNet.Options(**SMALL_UNET)), UNETR(UNETR.Options(**SMALL_UNETR))])
def test_every_mode_and_micro_batch_is_the_joint_step(backbone):
    assert_same_step(make(backbone), MODES, bitwise=PAIRS)


@pytest.mark.parametrize("sizes", [(3, 1), (1, 3), (4, 0)])
def test_streams_of_other_lengths(sizes):
    modes = [StepMode("joint", 2), StepMode("alternating", 2), StepMode("alternating", 3)]
    assert_same_step(make(UNet(UNet.Options(**SMALL_UNET))), modes, make_batch(*sizes), bitwise=[modes[:2]])


def test_the_study_s_unet_at_its_own_size():
    size = (16, 16, 32)
    assert_same_step(
        make(UNet(), patch=size), [StepMode("joint", 1), StepMode("alternating", 1)], make_batch(1, 1, size)
    )


def test_batch_norm_and_dropout_alternating_on_the_whole_batch():
    whole = [StepMode("joint"), StepMode("alternating"), StepMode("alternating", 4)]
    backbone = UNet(UNet.Options(**SMALL_UNET, norm="batch", dropout=0.3))
    steps = (STEP, replace(STEP, index=8))
    assert_same_step(make(backbone), whole, bitwise=[(whole[0], whole[1])], steps=steps)


@pytest.mark.parametrize("what", ["norm", "dropout"])
def test_what_is_refused_would_indeed_be_another_step(what):
    options = {"norm": "batch"} if what == "norm" else {"dropout": 0.3}
    backbone = UNet(UNet.Options(**SMALL_UNET, **options))
    with pytest.raises(AssertionError):
        assert_same_step(make(backbone), [StepMode("joint", 2)])


@pytest.mark.slow
def test_lessons_from_images_of_their_own():
    backbone = UNet(UNet.Options(**SMALL_UNET, norm="batch", dropout=0.2))
    whole = [StepMode("joint"), StepMode("alternating")]
    assert_same_step(make(backbone, MixedTeaching), whole, bitwise=[tuple(whole)])
    backbone = UNet(UNet.Options(**SMALL_UNET))
    assert_same_step(make(backbone, MixedTeaching), MODES, bitwise=PAIRS)


def test_alternating_updates_a_network_before_the_next_one_s_graph():
    strategy = make(UNet(UNet.Options(**SMALL_UNET)))
    order = []
    for name, network in strategy.networks.items():
        network.register_forward_hook(lambda *_, name=name: order.append((name, torch.is_grad_enabled())))
    gradients, _, optimizers = run(strategy, make_batch(), (STEP,), StepMode("alternating", 2))
    b, a = ("student_b", "student_a")
    assert order == [(b, False)] * 2 + [(a, True)] * 2 + [(b, True)] * 2
    assert all(not optimizer.others for optimizer in optimizers.values())  # one network's gradients at a time
    assert gradients


def test_the_wait_period_takes_no_lessons():
    class Waiting(CrossPseudoSupervision):
        def uses_pseudo_labels(self, step):
            return False

    backbone = UNet(UNet.Options(**SMALL_UNET))
    assert_same_step(make(backbone, Waiting), MODES, bitwise=PAIRS)


def test_reports_add_up_over_micro_batches():
    totals = []
    for mode in (StepMode(), StepMode("joint", 1), StepMode("alternating", 3)):
        totals.append(run(make(UNet(UNet.Options(**SMALL_UNET))), make_batch(), (STEP,), mode)[1])
    for other in totals[1:]:
        assert other == pytest.approx(totals[0], rel=1e-5)
    assert totals[0].keys() == {"loss", "supervised", "pseudo"}


def test_supervised_training_in_micro_batches():
    found = []
    for m in (None, 1, 2):
        networks = build_networks((Role("model"),), {"model": UNet(UNet.Options(**SMALL_UNET))}, TASK, seed=1)
        strategy = Supervised(Supervised.Options(), networks).double()
        found.append(run(strategy, make_batch(3, 0), (STEP,), StepMode("joint", m))[0])
    assert largest_difference(found[0], found[1]) <= 1e-12
    assert largest_difference(found[0], found[2]) <= 1e-12


def test_a_process_on_its_own_sees_no_others():
    runtime = Runtime("cpu", "32")
    runtime.rank, runtime.world = 3, 4
    single = alone(runtime)
    assert (single.rank, single.world, single.device) == (0, 1, runtime.device)
    assert (runtime.rank, runtime.world) == (3, 4)
