"""Jobs as processes of this machine: one a GPU, or as many as asked for."""

import os
import signal
import subprocess
from collections import Counter
from collections.abc import Sequence

from semiseg.cores import available_cores
from semiseg.launchers.jobs import Job

_THREADS = "OMP_NUM_THREADS"
_GPUS = "CUDA_VISIBLE_DEVICES"


class LocalLauncher:
    """Starts each job as a process of its own, whose threads and GPU are its share of the machine's."""

    survives = False
    how_to_go_on = "To go on, run the same command again."
    refusal = ""

    def __init__(self, jobs: int | None = None) -> None:
        """``jobs``: how many at a time; by default one a GPU, and one where there is none."""
        gpus = visible_gpus()
        self.slots = jobs or max(len(gpus), 1)
        self._gpus = [gpus[slot % len(gpus)] if gpus else None for slot in range(self.slots)]
        self._taken: dict[int, LocalJob] = {}

    def find(self, job: Job) -> None:
        """None: what an earlier command started is known by the lock of its folder alone."""

    def start(self, job: Job, taken: Sequence[str] = ()) -> "LocalJob":
        """Start the job in a free slot, whose GPU is the one that the fewest processes use."""
        slot = self._choose(taken)
        job.log.parent.mkdir(parents=True, exist_ok=True)
        with job.log.open("a", encoding="utf-8") as log:
            log.write(f"$ {job}\n")
            log.flush()
            # A session of its own: Ctrl-C reaches the study, which passes on one signal, not two.
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
        # Threads of several processes on the same cores wait for one another, and steps take many times as long.
        environment.setdefault(_THREADS, str(max(available_cores() // self.slots, 1)))
        gpu = self._gpus[slot]
        if gpu is not None:
            environment[_GPUS] = gpu
        return environment


class LocalJob:
    """A process."""

    queued = False
    reason = ""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def poll(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        return self._process.poll()

    def stop(self) -> None:
        """SIGTERM: it saves its state and ends."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)


def visible_gpus() -> Sequence[str]:
    """The names by which CUDA_VISIBLE_DEVICES knows this machine's GPUs."""
    import torch

    named = os.environ.get(_GPUS)
    if named is not None:
        return [name.strip() for name in named.split(",") if name.strip()] if torch.cuda.is_available() else []
    return [str(index) for index in range(torch.cuda.device_count())]
