"""Steps of the engine on generated batches, in this process or in two that share them."""

import os
import socket
import sys
import tempfile
from collections.abc import Callable, Sequence
from multiprocessing import get_all_start_methods, get_context
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from semiseg.data.batches import share_of
from semiseg.engine.runtime import Runtime
from semiseg.engine.step import StepRunner
from semiseg.engine.step_modes import StepMode
from semiseg.interfaces.batch import Batch, LabeledStream, Step, UnlabeledStream
from semiseg.interfaces.strategy import BatchNeeds, Strategy

Batches = Sequence[tuple[Batch, Step]]
_SECONDS = 120


def run_steps(
    strategy: Strategy,
    batches: Batches,
    runtime: Runtime,
    mode: StepMode = StepMode(),  # noqa: B008 (frozen)
    lr: float = 1.0,
) -> list[dict[str, float]]:
    """Run steps by plain gradient descent, and return the report of each."""
    trained = [role.name for role in strategy.roles(strategy.options) if role.trained]
    optimizers = {name: torch.optim.SGD(strategy.networks[name].parameters(), lr=lr) for name in trained}
    runner = StepRunner(strategy, optimizers, runtime, mode)
    return [runner(batch, step) for batch, step in batches]


def in_two_processes(start: Callable[[], Strategy], batches: Batches) -> list[dict[str, Tensor]]:
    """Return the state, in float64, of each of two processes that share every batch, after all steps.

    ``start`` makes the strategy and must be picklable. Raises RuntimeError if a process fails.
    """
    method = "forkserver" if "forkserver" in get_all_start_methods() else "spawn"
    context = get_context(method)
    if method == "forkserver":  # imports torch only once for all calls
        context.set_forkserver_preload(["semiseg.testing.strategy"])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{rank}.pt" for rank in range(2)]
        processes = [
            context.Process(target=_rank, args=(rank, port, start, batches, files[rank]))  # type: ignore[attr-defined]
            for rank in range(2)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join(_SECONDS)
        codes = [process.exitcode for process in processes]
        for process in processes:
            process.kill()
        if codes != [0, 0]:
            raise RuntimeError(f"exit codes of the two processes: {codes} (None: still running after {_SECONDS} s)")
        return [torch.load(file, weights_only=True) for file in files]


def _rank(rank: int, port: int, start: Callable[[], Strategy], batches: Batches, file: Path) -> None:
    torch.set_num_threads(1)
    launched: dict[str, Any] = {  # as set by torchrun
        "RANK": rank,
        "LOCAL_RANK": rank,
        "GROUP_RANK": 0,
        "WORLD_SIZE": 2,
        "LOCAL_WORLD_SIZE": 2,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        "TORCHELASTIC_RUN_ID": "test",
    }
    os.environ.update({name: str(value) for name, value in launched.items()})
    strategy = start().double()
    shared = [(_share(batch, rank, strategy.batch_needs(strategy.options)), step) for batch, step in batches]
    run_steps(strategy, shared, Runtime("cpu", "32"))
    torch.save(strategy.state_dict(), file)
    sys.stdout.flush()


def _share(batch: Batch, rank: int, needs: BatchNeeds) -> Batch:
    """Return one of two processes' share of a batch, as in the data path."""
    l, u = batch.labeled, batch.unlabeled  # noqa: E741
    mine, others = share_of((len(l), len(u)), needs, rank, 2)
    return Batch(
        LabeledStream(
            l.image[mine],
            l.count,
            tuple(l.slots[i] for i in mine),
            tuple(l.cases[i] for i in mine),
            l.label[mine],
            {name: target[mine] for name, target in l.targets.items()},
            l.has_ignored,
        ),
        UnlabeledStream(
            u.image[others],
            u.count,
            tuple(u.slots[i] for i in others),
            tuple(u.cases[i] for i in others),
            None if u.pseudo is None else u.pseudo[others],
            u.has_ignored,
        ),
    )
