"""Jobs as processes of this machine: one per GPU, or as many as requested."""

import os
import signal
import subprocess
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from semiseg.cores import available_cores
from semiseg.interfaces.launcher import Job, Launcher, Running

_THREADS = "OMP_NUM_THREADS"
_GPUS = "CUDA_VISIBLE_DEVICES"


class LocalLauncher(Launcher):
    """Processes of this machine, each with its share of the threads and GPUs.

    As many at a time as ``--jobs`` says; by default one per GPU, or one without a GPU.
    """

    def __init__(self, options: Any = None, *, folder: Path = Path("jobs"), jobs: int | None = None) -> None:
        super().__init__(options, folder=folder, jobs=jobs)
        gpus = visible_gpus()
        self.slots = jobs or max(len(gpus), 1)
        self._gpus = [gpus[slot % len(gpus)] if gpus else None for slot in range(self.slots)]
        self._taken: dict[int, LocalJob] = {}

    def start(self, job: Job, taken: Sequence[str] = ()) -> "LocalJob":
        """Start the job in a free slot, the one whose GPU has the fewest processes."""
        slot = self._choose(taken)
        job.log.parent.mkdir(parents=True, exist_ok=True)
        with job.log.open("a", encoding="utf-8") as log:
            log.write(f"$ {job}\n")
            log.flush()
            # In a new session: Ctrl-C reaches only the study, which then sends each job a single signal.
            process = subprocess.Popen(
                job.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment(slot),
                start_new_session=True,
            )
        self._taken[slot] = LocalJob(process)
        return self._taken[slot]

    def _choose(self, taken: Sequence[str]) -> int:
        ended = [slot for slot, job in self._taken.items() if job.poll() is not None]
        for slot in ended:
            del self._taken[slot]
        used = Counter([*taken, *(self._gpus[slot] for slot in self._taken)])
        return min((slot for slot in range(self.slots) if slot not in self._taken), key=lambda n: used[self._gpus[n]])

    def _environment(self, slot: int) -> dict[str, str]:
        environment = dict(os.environ)
        # Oversubscribed cores slow steps down many times, as threads of several processes wait for one another.
        environment.setdefault(_THREADS, str(max(available_cores() // self.slots, 1)))
        gpu = self._gpus[slot]
        if gpu is not None:
            environment[_GPUS] = gpu
        return environment


class LocalJob(Running):
    """A running process."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal, or None while running."""
        return self._process.poll()

    def stop(self) -> None:
        """Send SIGTERM, which makes the job save its state and end."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)


def visible_gpus() -> Sequence[str]:
    """Return the names of this machine's GPUs in CUDA_VISIBLE_DEVICES."""
    import torch

    named = os.environ.get(_GPUS)
    if named is not None:
        return [name.strip() for name in named.split(",") if name.strip()] if torch.cuda.is_available() else []
    return [str(index) for index in range(torch.cuda.device_count())]
