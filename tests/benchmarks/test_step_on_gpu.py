"""Time and memory of a training step on a GPU: every step mode of CPS beside supervised training and a plain loop.

    pytest tests/benchmarks/test_step_on_gpu.py --benchmark-enable -s

prints the table for batch 4 at 128 x 128 x 128, UNet and UNETR, float32 (without TF32), TF32 and bf16, eager and
compiled, and appends each row to the file that SEMISEG_STEP_TABLE names; rows that are there are not measured again, so
that it may be stopped and called again; what takes longest to begin, compiled networks, comes last. "plain" is the
reference study's loop as anyone would write it: MONAI's networks and loss, float32, one summed loss. Without a GPU, or
without --benchmark-enable, small networks and patches show that all of it runs and has the plain loop's loss.
"""

import gc
import itertools
import json
import os
import statistics
import time
from pathlib import Path

import pytest
import torch

from semiseg.backbones.unet import UNet
from semiseg.backbones.unetr import UNETR
from semiseg.engine.build import build_networks, compile_networks
from semiseg.engine.optim import make_optimizer
from semiseg.engine.probe import noise_batch
from semiseg.engine.runtime import Runtime
from semiseg.engine.step import StepRunner
from semiseg.engine.step_modes import StepMode
from semiseg.interfaces.batch import Step
from semiseg.recipe import schema
from semiseg.strategies.cps import CrossPseudoSupervision
from semiseg.strategies.supervised import Supervised
from semiseg.types import Task

CLASSES = ("background", "a", "b", "c")
PHI = 0.5
STEPS = 20
MODES = {
    "supervised": (Supervised, StepMode()),
    "joint": (CrossPseudoSupervision, StepMode()),
    "joint by 2": (CrossPseudoSupervision, StepMode("joint", 2)),
    "joint by 1": (CrossPseudoSupervision, StepMode("joint", 1)),
    "alternating": (CrossPseudoSupervision, StepMode("alternating")),
    "alternating by 2": (CrossPseudoSupervision, StepMode("alternating", 2)),
    "alternating by 1": (CrossPseudoSupervision, StepMode("alternating", 1)),
}
PLAIN = ("plain supervised", "plain cps")
HOW = ("eager", "compiled")
PRECISIONS = ("32", "bf16", "tf32")
ROWS = [
    *(("32", "eager", name) for name in PLAIN),
    *((precision, how, mode) for how, precision, mode in itertools.product(HOW, PRECISIONS, MODES)),
]


def is_full(request):
    return request.config.getoption("benchmark_enable") and torch.cuda.is_available()


def backbones(full):
    if full:
        return {"unet": UNet(), "unetr": UNETR()}
    small = UNETR.Options(hidden_size=12, mlp_dim=16, num_heads=2, feature_size=4)
    return {"unet": UNet(UNet.Options(channels=(4, 8), strides=(2,))), "unetr": UNETR(small)}


class PlainLoop:
    """The step of a script: forwards, one summed loss, one backward, Adam."""

    def __init__(self, networks, unlabeled):
        from monai.losses import DiceLoss

        self.networks, self.unlabeled = list(networks), unlabeled
        self.dice = DiceLoss(softmax=True, to_onehot_y=True)
        parameters = [p for network in self.networks for p in network.parameters() if p.requires_grad]
        self.optimizer = torch.optim.Adam(parameters, lr=1e-4)

    def __call__(self, batch, step):
        images, labels = batch.images(), batch.labeled.label[:, None]
        outputs = [network(images) for network in self.networks]
        lessons = [output.argmax(dim=1, keepdim=True) for output in outputs]
        n, loss = len(labels), 0.0
        for output, lesson in zip(outputs, reversed(lessons), strict=True):
            loss = loss + self.dice(output[:n], labels)
            if self.unlabeled:
                pseudo = self.dice(output[:n], lesson[:n]) + self.dice(output[n:], lesson[n:])
                loss = loss + PHI * pseudo
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return {"loss": float(loss.detach())}


def make_step(row, backbone, task, device):
    """The step of a row, and its batch."""
    precision, how, name = row
    strategy_class, mode = MODES.get(name) or (MODES["joint"] if name == "plain cps" else MODES["supervised"])
    own = {"pseudo_mean": "each_stream", "wait_share": 0} if strategy_class is CrossPseudoSupervision else {}
    options = strategy_class.Options(loss="dice", **own)  # the plain loop's
    roles = strategy_class.roles(options)
    networks = build_networks(roles, {role.name: backbone for role in roles}, task, seed=0)
    for network in networks.values():
        network.to(device).train()
    labeled = 4 if strategy_class is Supervised else 2
    batch = noise_batch(task, labeled, 4 - labeled, device)
    if name in PLAIN:
        return PlainLoop(networks.values(), unlabeled=labeled < 4), batch
    if how == "compiled":
        compile_networks(networks.values(), device)
    runtime = Runtime(device.type, "bf16" if precision == "bf16" else "32")
    strategy = strategy_class(options, networks)
    adam = schema.Optimizer(lr=1e-4)
    optimizers = {role: make_optimizer(adam, network.parameters()) for role, network in networks.items()}
    return StepRunner(strategy, optimizers, runtime, mode), batch


def measure(row, backbone, task, device, steps):
    allowed = row[0] != "32"
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = allowed
    torch.backends.cudnn.benchmark = True
    run, batch = make_step(row, backbone, task, device)
    first = run(batch, Step(0, 1, 1))["loss"]
    for _ in range(min(steps - 1, 2)):
        run(batch, Step(0, 1, 1))
    synchronize(device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    times = []
    for _ in range(steps):
        started = time.perf_counter()
        run(batch, Step(0, 1, 1))
        synchronize(device)
        times.append(time.perf_counter() - started)
    peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0
    return {"ms": 1e3 * statistics.median(times), "GB": peak / 1e9, "loss": first, "times": times}


def synchronize(device):
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@pytest.fixture(scope="module")
def table(request):
    path = Path(os.environ["SEMISEG_STEP_TABLE"]) if "SEMISEG_STEP_TABLE" in os.environ else None
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path and path.exists() else []
    found = {(row["network"], *row["row"]): row for row in rows}
    yield found, path
    lines = []
    for (name, *row), result in found.items():
        base = found.get((name, row[0], row[1], "supervised"), result)
        ratios = f"{result['ms'] / base['ms']:5.2f} {result['GB'] / base['GB']:5.2f}" if base["GB"] else ""
        lines.append(f"{name:5} {' '.join(row):32} {result['ms']:9.1f} ms {result['GB']:7.2f} GB {ratios}")
    if lines and request.config.getoption("benchmark_enable"):
        with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            print("", "time and memory; and their ratios to supervised in the same precision", *lines, sep="\n")


@pytest.mark.parametrize("name", ["unet", "unetr"])
@pytest.mark.parametrize("row", ROWS, ids=" ".join)
def test_a_step(request, table, name, row):
    found, path = table
    full = is_full(request)
    if (name, *row) in found:
        return
    if not full and (row[1] == "compiled" or row[0] != "32"):
        pytest.skip("needs a CUDA GPU and --benchmark-enable")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    task = Task(4, CLASSES, (128, 128, 128) if full else (16, 16, 16))
    result = measure(row, backbones(full)[name], task, device, STEPS if full else 1)
    result |= {"network": name, "row": row, "torch": torch.__version__}
    found[name, *row] = result
    if path:
        with path.open("a") as file:
            file.write(json.dumps(result) + "\n")
    gc.collect()
    plain = found.get((name, "32", "eager", "plain supervised" if row[2] == "supervised" else "plain cps"))
    if plain and row[0] == "32":  # the same networks, batch and loss
        assert result["loss"] == pytest.approx(plain["loss"], rel=1e-4)
