"""Jobs of a SLURM cluster, by submitit (extra ``slurm``): each is the plain command of one model."""

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
"""Seconds before an ended job counts as over, as it may be requeued or its files not be visible yet."""
FORGIVEN = 300.0
"""Seconds for which a job unknown to SLURM counts as alive."""


class SlurmLauncher:
    """Launcher that submits and follows jobs, which continue without the study's command and are found again by it."""

    survives = True
    how_to_go_on = (
        "Submitted jobs go on: squeue shows them, scancel ends them. The same command again finds them and goes on."
    )

    def __init__(self, folder: Path, options: Mapping[str, Any], jobs: int | None = None, cluster: str = "slurm"):
        """Set up submission; ``folder`` keeps submitit's files, ``options`` are the study's ``slurm`` block.

        ``cluster`` may also be "local". Raises RecipeError if submitit is not installed, or does not know an option.
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
        # All in one call, so that finding a hundred jobs takes a single query.
        self._states = SlurmStates(str(noted["job_id"]) for noted in map(_read, folder.glob("*.json")) if noted)

    def find(self, job: Job) -> "SlurmJob | None":
        """Return the job submitted earlier for this run folder, if it is waiting or running.

        An ended job may have been killed with its node, leaving a lock that no other host can check: remove it.
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
        """Submit the job; return None if SLURM refuses it, for example at a user's limit, or does not respond."""
        job.log.parent.mkdir(parents=True, exist_ok=True)
        self._executor.update_parameters(name=job.name)
        command = RunCommand(job.command, str(job.log), self._warning)
        try:
            submitted = self._executor.submit(command)
        except (RuntimeError, OSError) as error:  # sbatch failed, or submitit cannot parse its output
            self.refusal = str(error).strip()
            _sweep(self._folder)
            return None
        self.refusal = ""
        write_json(self._note(job), {"job_id": submitted.job_id, "submitted": time.time()})
        return self._job(submitted, time.time())

    def _note(self, job: Job) -> Path:
        # By folder, not by model: an extended study may rename a model.
        return self._folder / f"{job.folder.path.name}.json"

    def _job(self, job: Any, submitted: float) -> "SlurmJob":
        if self._cluster != "slurm":
            return SlurmJob(job, lambda: str(job.state), submitted, local=True)
        self._states.add(job.job_id)
        return SlurmJob(job, lambda: self._states.of(job.job_id), submitted)


class SlurmJob:
    """A submitted job."""

    def __init__(self, job: Any, ask: Callable[[], str], submitted: float, local: bool = False) -> None:
        """Follow a job by ``ask``, which returns its state, from time ``submitted``; ``local``: a child process."""
        self.queued, self.reason, self.state = True, "", UNKNOWN
        self._job, self._ask = job, ask
        self._since = submitted
        self._is_local = local

    def poll(self) -> int | None:
        """Return the command's exit code, 1 if the cluster ended it, or None while it may still run or be requeued."""
        if outcome := self._outcome():
            # A local job is a child of this process, and has to be reaped.
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
        """Return whether it is waiting or running."""
        if self._outcome():
            return False
        state = self._look()
        return state in LIVE or (state in {UNKNOWN, GONE} and time.time() - self._since < FORGIVEN)

    def stop(self) -> None:
        """Cancel the job."""
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
            with suppress(OSError):  # makes a network file system refresh its cached folder content
                folder = self._job.paths.folder
                folder.chmod(folder.stat().st_mode)
        return state

    def _outcome(self) -> tuple[str, Any] | None:
        # submitit's own result() blocks: first for a state that it considers final, then for this file.
        try:
            kind, value = pickle.loads(self._job.paths.result_pickle.read_bytes())
        except Exception:  # missing, or not yet complete
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
    """Return a job's note; empty if there is none."""
    with suppress(OSError, ValueError):
        value = json.loads(note.read_text(encoding="utf-8"))
        if isinstance(value, dict) and "job_id" in value:
            return value
    return {}


def _sweep(folder: Path) -> None:
    """Remove the files that a refused submission leaves, which would accumulate with every attempt."""
    for left in (*folder.glob(".submission_file_*.sh"), *folder.glob("?" * 32 + ".pkl")):
        if not left.is_symlink():
            left.unlink(missing_ok=True)
