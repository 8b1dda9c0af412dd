"""A trial of a step mode: a few timed steps on noise with their peak memory; the state is restored afterwards."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch.optim import Optimizer

from semiseg.engine.memory import ran_out
from semiseg.engine.runtime import Runtime
from semiseg.engine.step import StepRunner
from semiseg.engine.step_modes import StepMode
from semiseg.interfaces.batch import Batch, LabeledStream, Step, UnlabeledStream
from semiseg.interfaces.strategy import Strategy, Target
from semiseg.types import Task

TIMED = 2
"""Number of timed steps, after one untimed step in which kernels are chosen and memory is allocated."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds per step, and the GPU's peak memory in bytes; 0 on the CPU, where it cannot be measured."""

    seconds: float
    bytes: int

    def __str__(self) -> str:
        memory = f", {self.bytes / 2**30:.2f} GiB" if self.bytes else ""
        return f"{self.seconds:.3g} s{memory}"


def probe(
    strategy: Strategy,
    optimizers: Callable[[], Mapping[str, Optimizer]],
    runtime: Runtime,
    mode: StepMode,
    batch: Batch,
    step: Step,
) -> Measured | None:
    """Run a few steps in ``mode`` and restore the strategy's state; return None if memory ran out.

    Args:
        strategy: on the runtime's device.
        optimizers: creates new ones, which are discarded.
        runtime: this process alone: if one of several ran out of memory, the others would wait for it.
        mode: joint or alternating.
        batch: as large as a step's, on the runtime's device.
        step: one at which all losses are active.
    """
    before = {key: value.detach().cpu().clone() for key, value in strategy.state_dict().items()}
    try:
        return _run(StepRunner(strategy, optimizers(), runtime, mode), batch, step)
    except RuntimeError as error:
        if not ran_out(error):
            raise
        return None
    finally:
        if any(network._compiled_call_impl for network in strategy.networks.values()):
            torch.compiler.reset()  # after two batch sizes, networks are compiled for any size, which is slower
        strategy.zero_grad(set_to_none=True)
        strategy.load_state_dict(before)
        if runtime.device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(runtime.device)


def _run(runner: StepRunner, batch: Batch, step: Step) -> Measured:
    device = runner.runtime.device
    runner(batch, step)
    if device.type == "cuda":  # the search for kernels takes more memory than any later step
        torch.cuda.reset_peak_memory_stats(device)
    started = _now(device)
    for _ in range(TIMED):
        runner(batch, step)
    seconds = (_now(device) - started) / TIMED
    return Measured(seconds, torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0)


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def noise_batch(
    task: Task,
    labeled: int,
    unlabeled: int,
    device: torch.device,
    targets: Sequence[Target] = (),
    pseudo: bool = False,
    has_ignored: bool = False,
) -> Batch:
    """Return a noise batch of the task's shapes with random labels and the strategy's ``targets``.

    ``pseudo``: add pseudo-labels for the unlabeled samples. ``has_ignored``: as of the run's labels, for its costs.
    """
    total = labeled + unlabeled
    generator = torch.Generator(device).manual_seed(0)
    images = torch.randn((total, task.in_channels, *task.patch_size), generator=generator, device=device)
    drawn = torch.randint(
        len(task.classes), (total, *task.patch_size), generator=generator, device=device, dtype=torch.int64
    )
    labels = drawn[:labeled]
    made = {target.name: target.make(labels, len(task.classes)) for target in targets}
    slots, cases = tuple(range(total)), ("noise",) * total
    return Batch(
        LabeledStream(images[:labeled], labeled, slots[:labeled], cases[:labeled], labels, made, has_ignored),
        UnlabeledStream(
            images[labeled:], unlabeled, slots[labeled:], cases[labeled:], drawn[labeled:] if pseudo else None
        ),
    )
