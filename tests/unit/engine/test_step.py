import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers_processes import run, run_on_two
from tiny_task import MadeBatches, cps

from semiseg.engine.runtime import Runtime
from semiseg.engine.step import StepRunner
from semiseg.engine.step_modes import StepMode
from semiseg.errors import ComponentError, TrainingError
from semiseg.interfaces.batch import Step
from semiseg.interfaces.losses import Losses
from semiseg.interfaces.roles import Role
from semiseg.interfaces.strategy import Strategy, StrategyOptions

STEP = Step(0, 10, 5, seed=3)


class Adversarial(Strategy):
    """A student that must not train the critic it is judged by, and a critic that is stepped before the student."""

    Options = StrategyOptions
    whole_batch = True

    @classmethod
    def roles(cls, options):
        return (Role("student"), Role("critic", predicts=False))

    def losses(self, batch, step):
        x = batch.labeled.image.flatten(1)
        judged = self.run("critic", self.run("student", x).detach())
        yield Losses((judged - 1).square().mean(), frozenset({"critic"}), step_now=True)
        self.critic_between = self.networks["critic"].weight.detach().clone()
        yield Losses(self.run("critic", self.run("student", x)).square().mean(), frozenset({"student"}))


def adversarial():
    torch.manual_seed(0)
    networks = {"student": torch.nn.Linear(512, 4), "critic": torch.nn.Linear(4, 1)}
    return Adversarial(StrategyOptions(), networks)


def sgd(strategy):
    return {role: torch.optim.SGD(net.parameters(), lr=0.1) for role, net in strategy.networks.items()}


def test_a_loss_trains_only_the_roles_it_updates_and_step_now_comes_at_once():
    strategy = adversarial()
    before = {name: p.detach().clone() for name, p in strategy.named_parameters()}
    runner = StepRunner(strategy, sgd(strategy), Runtime("cpu", "32"))
    runner(MadeBatches().batch(0), STEP)
    critic = strategy.networks["critic"].weight
    assert not torch.equal(strategy.critic_between, before["networks.critic.weight"])
    assert torch.equal(critic, strategy.critic_between)  # the student's loss left nothing in the critic
    assert not torch.equal(strategy.networks["student"].weight, before["networks.student.weight"])
    assert all(p.grad is None for p in strategy.parameters())


def test_the_scaler_updates_once_a_step_however_many_optimizers():
    strategy = cps()
    runtime = Runtime("cpu", "32")
    runner = StepRunner(strategy, sgd(strategy), runtime)
    runner.scaler = torch.amp.GradScaler("cpu", growth_interval=1)
    scale = runner.scaler.get_scale()
    runner(MadeBatches().batch(0), STEP)
    assert runner.scaler.get_scale() == 2 * scale


def test_random_state_is_the_step_s_not_the_caller_s():
    results = []
    for seed in (1, 2):
        strategy = cps()
        torch.manual_seed(seed)
        StepRunner(strategy, sgd(strategy), Runtime("cpu", "32"))(MadeBatches().batch(0), STEP)
        results.append(strategy.state_dict())
    assert all(torch.equal(results[0][key], results[1][key]) for key in results[0])


def test_networks_of_one_step_draw_different_dropout():
    class Probe(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(1))
            self.seen = []

        def forward(self, x):
            self.seen.append(torch.rand(4))
            return torch.cat([x, -x], 1) * self.weight

    strategy = cps()
    strategy.networks = torch.nn.ModuleDict({"student_a": Probe(), "student_b": Probe()})
    StepRunner(strategy, sgd(strategy), Runtime("cpu", "32"))(MadeBatches().batch(0), STEP)
    a, b = (strategy.networks[role].seen for role in ("student_a", "student_b"))
    assert len(a) == len(b) == 1  # the students' own forward gives the pseudo-labels
    assert not torch.equal(a[0], b[0])


class BadGradient(torch.autograd.Function):
    """As it is, but for the gradient of its first value."""

    @staticmethod
    def forward(ctx, values, gradient):
        ctx.gradient = gradient
        return values.clone()

    @staticmethod
    def backward(ctx, gradient):
        gradient = gradient.clone()
        gradient.view(-1)[0] = ctx.gradient
        return gradient, None


def poison(strategy, role, gradient):
    strategy.networks[role].register_forward_hook(lambda net, args, out: BadGradient.apply(out, gradient))


def snapshot(strategy):
    return {name: p.detach().clone() for name, p in strategy.named_parameters()}


def assert_no_step(strategy, before, roles=("",)):
    for name, p in strategy.named_parameters():
        if any(role in name for role in roles):
            assert torch.equal(p, before[name]), name


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("mode", [StepMode(), StepMode("joint", 1), StepMode("alternating", 2)], ids=str)
def test_a_gradient_that_is_not_finite_stops_before_the_weights_are_changed(mode, value):
    strategy = cps()
    poison(strategy, "student_b", value)
    before = snapshot(strategy)
    runner = StepRunner(strategy, sgd(strategy), Runtime("cpu", "32"), mode)
    with pytest.raises(
        TrainingError, match=r"the gradient of student_b is not.*case0.*\n.*last good checkpoint"
    ) as error:
        runner(MadeBatches().batch(0), STEP)
    assert "Step 0 (epoch 1): the loss is finite" in str(error.value)
    assert_no_step(strategy, before, ["student_b"] if mode.name == "alternating" else [""])


def test_a_gradient_that_is_not_finite_is_told_where_a_loss_steps_at_once():
    strategy = adversarial()
    poison(strategy, "critic", float("nan"))
    before = snapshot(strategy)
    with pytest.raises(TrainingError, match="the gradient of critic is not"):
        StepRunner(strategy, sgd(strategy), Runtime("cpu", "32"))(MadeBatches().batch(0), STEP)
    assert_no_step(strategy, before)


def test_a_large_gradient_is_a_gradient():
    strategy = cps()
    poison(strategy, "student_a", 3e25)  # its square is more than float32 holds
    rates = {role: torch.optim.SGD(net.parameters(), lr=1e-30) for role, net in strategy.networks.items()}
    StepRunner(strategy, rates, Runtime("cpu", "32"))(MadeBatches().batch(0), STEP)


def test_the_scaler_skips_what_overflows_and_lowers_its_scale():
    strategy = cps()
    poison(strategy, "student_b", float("inf"))
    before = snapshot(strategy)
    runner = StepRunner(strategy, sgd(strategy), Runtime("cpu", "32"))
    runner.scaler = torch.amp.GradScaler("cpu")  # as in fp16
    scale = runner.scaler.get_scale()
    runner(MadeBatches().batch(0), STEP)
    assert_no_step(strategy, before, ["student_b"])
    assert not torch.equal(
        strategy.networks["student_a"].layers[0].weight, before["networks.student_a.layers.0.weight"]
    )
    assert runner.scaler.get_scale() == scale / 2


def test_the_device_is_read_once_for_losses_and_gradients(monkeypatch):
    plain, reads = torch.Tensor.tolist, []
    monkeypatch.setattr(torch.Tensor, "tolist", lambda tensor: reads.append(tensor.numel()) or plain(tensor))
    strategy = cps()
    totals = StepRunner(strategy, sgd(strategy), Runtime("cpu", "32"))(MadeBatches().batch(0), STEP)
    assert reads == [len(totals) + 2]  # two networks' gradients


NOT_FINITE_IN_ONE_OF_TWO = """
import sys
from test_step import STEP, MadeBatches, StepMode, StepRunner, Runtime, cps, poison, sgd, snapshot, assert_no_step
from semiseg.errors import ComponentError, TrainingError
runtime = Runtime("cpu", "32")
for mode in ("joint", "split"):
    strategy = cps()
    before = snapshot(strategy)
    if runtime.rank == 1:
        poison(strategy, "student_b", float("nan"))
    own = ["student_a", "student_b"][runtime.rank]
    optimizers = sgd(strategy) if mode == "joint" else {own: sgd(strategy)[own]}
    try:
        StepRunner(strategy, optimizers, runtime, StepMode(mode))(MadeBatches().batch(0), STEP)
    except TrainingError as error:
        assert_no_step(strategy, before)
        sys.stdout.write(f"{mode}: {error}\\n")
"""


@pytest.mark.slow
def test_both_processes_stop_where_one_has_a_gradient_that_is_not_finite(tmp_path):
    script = tmp_path / "one_of_two.py"
    script.write_text(NOT_FINITE_IN_ONE_OF_TWO)
    said = run_on_two(program=script)
    for mode in ("joint", "split"):
        told = f"{mode}: Step 0 (epoch 1): the loss is finite, but the gradient of student_b is not."
        assert said.count(told) == 2, said


@pytest.mark.slow
def test_two_processes_sum_to_one(tmp_path):
    script = Path(__file__).with_name("two_processes.py")
    run(tmp_path / "alone.pt", program=script, OMP_NUM_THREADS="1")
    # Under torchrun itself; run_on_two tells processes what it would.
    both = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    env = {**os.environ, "PYTHONPATH": str(script.parent), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*both, str(tmp_path / "both.pt")], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    one, two = (torch.load(tmp_path / f"{name}.pt", weights_only=True) for name in ("alone", "both"))
    assert one["norms"] > 0
    for key, value in one["weights"].items():
        assert torch.allclose(value, two["weights"][key], atol=1e-12), key
    assert two["unused_grad_kept_out"]
    assert one["loss"] == pytest.approx(two["loss"], abs=1e-6)


@pytest.mark.parametrize(("updates", "named"), [("studnet", "'studnet'"), ((), "no role")])
def test_a_loss_that_updates_no_trained_role_is_refused(updates, named):
    class Misspelled(Adversarial):
        def losses(self, batch, step):
            yield Losses(self.run("student", batch.labeled.image.flatten(1)).square().mean(), updates)

    networks = {"student": torch.nn.Linear(512, 4), "critic": torch.nn.Linear(4, 1)}
    strategy = Misspelled(StrategyOptions(), networks)
    with pytest.raises(ComponentError, match=f"updates {named}") as raised:
        StepRunner(strategy, sgd(strategy), Runtime("cpu", "32"))(MadeBatches().batch(0), STEP)
    assert "trained roles: student, critic" in str(raised.value)
