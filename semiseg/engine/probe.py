"""A trial of a step mode: a few steps on noise, timed, with their peak of memory; nothing of them is left behind."""

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
"""Steps that are timed, after one that is not: kernels are chosen and memory is taken in the first."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds of a step, and the peak of a GPU's memory in bytes; 0 on the CPU, where it cannot be told apart."""

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
    """Run a few steps in ``mode``, and put the strategy's state back; None where memory ran out.

    Args:
        strategy: on the runtime's device.
        optimizers: makes new ones; they are thrown away.
        runtime: this process alone, where there are several: one that ran out of memory would leave the others waiting.
        mode: joint or alternating.
        batch: as large as a step's, on the runtime's device.
        step: one at which all losses are on.
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
            torch.compiler.reset()  # what has met batches of two sizes is compiled for any, and is slower
        strategy.zero_grad(set_to_none=True)
        strategy.load_state_dict(before)
        if runtime.device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(runtime.device)


def _run(runner: StepRunner, batch: Batch, step: Step) -> Measured:
    device = runner.runtime.device
    runner(batch, step)
    if device.type == "cuda":  # the search for kernels takes more memory than any step will
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
) -> Batch:
    """A batch of the task's shapes, of noise with random labels, with a strategy's ``targets`` beside them.

    ``pseudo``: with pseudo-labels for the unlabeled samples.
    """
    total = labeled + unlabeled
    generator = torch.Generator(device).manual_seed(0)
    images = torch.randn((total, task.in_channels, *task.patch_size), generator=generator, device=device)
    drawn = torch.randint(
        task.out_channels, (total, *task.patch_size), generator=generator, device=device, dtype=torch.int64
    )
    labels = drawn[:labeled]
    made = {target.name: target.make(labels, task.out_channels) for target in targets}
    slots, cases = tuple(range(total)), ("noise",) * total
    return Batch(
        LabeledStream(images[:labeled], labeled, slots[:labeled], cases[:labeled], labels, made),
        UnlabeledStream(
            images[labeled:], unlabeled, slots[labeled:], cases[labeled:], drawn[labeled:] if pseudo else None
        ),
    )
