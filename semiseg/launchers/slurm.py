"""Jobs of a SLURM cluster, by submitit (extra ``slurm``): each is one model's plain command."""

import json
import pickle
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from semiseg.errors import RecipeError
from semiseg.io.atomic import write_json
from semiseg.io.lock import remove_lock_of_job
from semiseg.launchers.jobs import Job
from semiseg.launchers.slurm_command import RunCommand
from semiseg.launchers.slurm_states import GONE, LIVE, QUEUED, UNKNOWN, SlurmStates

_DEFAULTS: Mapping[str, Any] = {"gpus_per_node": 1, "cpus_per_task": 8, "timeout_min": 24 * 60}

SETTLES = 60.0
"""Seconds for which a job is over before that is believed: it may be requeued, or its files not be visible yet."""
FORGIVEN = 300.0
"""Seconds for which a job of which SLURM says nothing counts as living."""


class SlurmLauncher:
    """Submits every job at once and follows it. Jobs go on without the study's command, which finds them again."""

    survives = True
    how_to_go_on = (
        "Submitted jobs go on: squeue shows them, scancel ends them. The same command again finds them and goes on."
    )

    def __init__(self, folder: Path, options: Mapping[str, Any], jobs: int | None = None, cluster: str = "slurm"):
        """``folder`` keeps submitit's files; ``options`` are the study's ``slurm`` block; ``cluster``: also "local".

        Raises RecipeError where submitit is not installed, or does not know an option.
        """
        try:
            import submitit
        except ImportError as error:
            raise RecipeError("submitit is not installed.", 'pip install "semiseg[slurm]"') from error
        self.slots = jobs or 1_000
        self.refusal = ""
        self._folder, self._cluster = folder, cluster
        self._warning = float(options.get("slurm_signal_delay_s", 90))
        try:
            self._executor = submitit.AutoExecutor(folder=folder, cluster=cluster)
        except RuntimeError as error:  # no srun
            raise RecipeError(
                f"No SLURM cluster is here: {error}", "Use --launcher local, or log in to one."
            ) from error
        settings = {**_DEFAULTS, **options} if cluster == "slurm" else {"timeout_min": 24 * 60, **options}
        try:
            self._executor.update_parameters(**settings)
        except (TypeError, ValueError, NameError) as error:
            raise RecipeError(
                f"slurm: {error}", "Options are submitit's, as slurm_partition or timeout_min."
            ) from error
        # All at once, so that finding a hundred jobs asks SLURM once.
        self._states = SlurmStates(str(noted["job_id"]) for noted in map(_read, folder.glob("*.json")) if noted)

    def find(self, job: Job) -> "SlurmJob | None":
        """The job that was submitted for this run folder before, if it waits or runs.

        One that is over may have been killed with its node, and have left a lock that nobody else can judge: it goes.
        """
        noted = _read(self._note(job)) if self._cluster == "slurm" else {}
        if not noted:
            return None
        import submitit

        job_id = str(noted["job_id"])
        found = self._job(submitit.SlurmJob(folder=self._folder, job_id=job_id), float(noted.get("submitted", 0)))
        if found.lives():
            return found
        if found.state != UNKNOWN:
            remove_lock_of_job(job.folder.path, job_id)
        return None

    def start(self, job: Job, taken: Sequence[str] = ()) -> "SlurmJob | None":
        """Submit the job; None where SLURM refuses it, as at a user's limit, or does not answer."""
        job.log.parent.mkdir(parents=True, exist_ok=True)
        self._executor.update_parameters(name=job.name)
        command = RunCommand(job.command, str(job.log), self._warning)
        try:
            submitted = self._executor.submit(command)
        except (RuntimeError, OSError) as error:  # sbatch said no, or what submitit does not understand
            self.refusal = str(error).strip()
            _sweep(self._folder)
            return None
        self.refusal = ""
        write_json(self._note(job), {"job_id": submitted.job_id, "submitted": time.time()})
        return self._job(submitted, time.time())

    def _note(self, job: Job) -> Path:
        # By folder, not by model: an extension of the study may give a model another name.
        return self._folder / f"{job.folder.path.name}.json"

    def _job(self, job: Any, submitted: float) -> "SlurmJob":
        if self._cluster != "slurm":
            return SlurmJob(job, lambda: str(job.state), submitted, local=True)
        self._states.add(job.job_id)
        return SlurmJob(job, lambda: self._states.of(job.job_id), submitted)


class SlurmJob:
    """A submitted job."""

    def __init__(self, job: Any, ask: Callable[[], str], submitted: float, local: bool = False) -> None:
        """``ask`` gives its state; ``submitted`` is the time of day when it was; ``local``: it is a process of ours."""
        self.queued, self.reason, self.state = True, "", UNKNOWN
        self._job, self._ask = job, ask
        self._since = submitted
        self._is_local = local

    def poll(self) -> int | None:
        """The command's exit code, 1 where the cluster ended it; None while it waits or runs, or may be requeued."""
        if outcome := self._outcome():
            # A local one is a child of this process, which has to see it end.
            return None if self._is_local and self._ask() == "RUNNING" else self._end(*outcome)
        state = self._look()
        self.queued = state in QUEUED
        if state in LIVE or time.time() - self._since < self._doubted(state):
            return None
        if state == "COMPLETED":
            return 0
        said = f"SLURM knows no job {self._job.job_id}" if state in {UNKNOWN, GONE} else f"was ended by SLURM: {state}"
        self.reason = f"{said} ({self._files()})"
        return 1

    def lives(self) -> bool:
        """Whether it waits or runs."""
        if self._outcome():
            return False
        state = self._look()
        return state in LIVE or (state in {UNKNOWN, GONE} and time.time() - self._since < FORGIVEN)

    def stop(self) -> None:
        """Cancel it."""
        self._job.cancel()

    def _doubted(self, state: str) -> float:
        return FORGIVEN if state in {UNKNOWN, GONE} else 0 if self._is_local else SETTLES

    def _look(self) -> str:
        state = self._ask().upper()
        if state != self.state:
            if not {state, self.state} <= {UNKNOWN, GONE}:
                self._since = time.time()
            self.state = state
        if state not in LIVE:
            with suppress(OSError):  # a network file system then looks anew at what is in the folder
                folder = self._job.paths.folder
                folder.chmod(folder.stat().st_mode)
        return state

    def _outcome(self) -> tuple[str, Any] | None:
        # submitit's own result() waits: for a state that it takes as final, and then for this file.
        try:
            kind, value = pickle.loads(self._job.paths.result_pickle.read_bytes())
        except Exception:  # it is not there, or not yet whole
            return None
        return str(kind), value

    def _end(self, kind: str, value: Any) -> int:
        self.queued, self.state = False, "COMPLETED"
        if kind == "success":
            return int(value)
        last = str(value).strip().splitlines()[-1:] or ["no reason given"]
        self.reason = f"its job failed: {last[0]} ({self._files()})"
        return 1

    def _files(self) -> str:
        return f"job {self._job.job_id}; submitit's log is {self._job.paths.stderr}"


def _read(note: Path) -> Mapping[str, Any]:
    """A job's note; empty where there is none."""
    with suppress(OSError, ValueError):
        value = json.loads(note.read_text(encoding="utf-8"))
        if isinstance(value, dict) and "job_id" in value:
            return value
    return {}


def _sweep(folder: Path) -> None:
    """Remove what a refused submission leaves, which would be as much again at every attempt."""
    for left in (*folder.glob(".submission_file_*.sh"), *folder.glob("?" * 32 + ".pkl")):
        if not left.is_symlink():
            left.unlink(missing_ok=True)
