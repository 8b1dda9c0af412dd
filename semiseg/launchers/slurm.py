"""Jobs of a SLURM cluster, by submitit (extra ``slurm``): each is the plain command of one model."""

import json
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field

from semiseg.errors import RecipeError
from semiseg.interfaces.component import ComponentOptions
from semiseg.interfaces.launcher import Job, Launcher, Running
from semiseg.io.atomic import write_json
from semiseg.io.lock import remove_lock_of_job
from semiseg.launchers.slurm_command import RunCommand
from semiseg.launchers.slurm_outcome import Outcome, OutcomeFile
from semiseg.launchers.slurm_states import GONE, LIVE, QUEUED, UNKNOWN, SlurmStates

SETTLES = 60.0
"""Seconds before an ended job counts as over, as it may be requeued or its files not be visible yet."""
FORGIVEN = 300.0
"""Seconds for which a job unknown to SLURM counts as alive."""


class SlurmLauncher(Launcher):
    """Jobs of a SLURM cluster, by submitit (extra ``slurm``): one job for each model.

    Jobs continue without the study's command and are found again by it. All are submitted at once, unless ``--jobs``
    limits their number. All paths must be accessible from the nodes.
    """

    class Options(ComponentOptions):
        """Resources of each job, by submitit's names, as ``slurm_partition`` or ``mem_gb``; these have defaults."""

        model_config = ConfigDict(extra="allow")

        gpus_per_node: int = Field(default=1, ge=0)
        """GPUs of each job."""
        cpus_per_task: int = Field(default=8, ge=1)
        """CPU cores of each job."""
        timeout_min: int = Field(default=24 * 60, ge=1)
        """Minutes until a job has to end; it then saves its state and is requeued."""

    here = False
    survives = True
    resume_hint = (
        "Submitted jobs keep running: squeue lists them, scancel ends them. To resume, run the same command again."
    )

    def __init__(
        self,
        options: Any = None,
        *,
        folder: Path = Path("jobs"),
        jobs: int | None = None,
        cluster: str = "slurm",
    ) -> None:
        """Set up submission; ``cluster`` may also be "local".

        Raises RecipeError if submitit is not installed, or does not know an option.
        """
        super().__init__(options, folder=folder, jobs=jobs or 1_000)
        try:
            import submitit
        except ImportError as error:
            raise RecipeError("submitit is not installed.", 'pip install "semiseg[slurm]"') from error
        settings = self.options.model_dump()
        if cluster != "slurm":
            settings = {"timeout_min": settings["timeout_min"], **self.options.model_dump(exclude_unset=True)}
        self._cluster = cluster
        self._warning = float(settings.get("slurm_signal_delay_s", 90))
        try:
            self._executor = submitit.AutoExecutor(folder=folder, cluster=cluster)
        except RuntimeError as error:  # no srun
            raise RecipeError(
                f"No SLURM cluster is here: {error}", "Use --launcher local, or log in to one."
            ) from error
        try:
            self._executor.update_parameters(**settings)
        except (TypeError, ValueError, NameError, AssertionError) as error:
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
        found = self._job(
            submitit.SlurmJob(folder=self.folder, job_id=job_id),
            OutcomeFile(self.folder, str(noted.get("submission", ""))),
            float(noted.get("submitted", 0)),
        )
        if found.lives():
            return found
        if found.state != UNKNOWN:
            remove_lock_of_job(job.folder, job_id)
        return None

    def start(self, job: Job, taken: Sequence[str] = ()) -> "SlurmJob | None":
        """Submit the job; return None if SLURM refuses it, for example at a user's limit, or does not respond."""
        job.log.parent.mkdir(parents=True, exist_ok=True)
        self._executor.update_parameters(name=job.name)
        submission = uuid.uuid4().hex
        outcome = OutcomeFile(self.folder, submission)
        command = RunCommand(job.command, str(job.log), outcome, self._warning)
        try:
            submitted = self._executor.submit(command)
        except (RuntimeError, OSError) as error:  # sbatch failed, or submitit cannot parse its output
            self.refusal = str(error).strip()
            _sweep(self.folder)
            return None
        self.refusal = ""
        note = {"job_id": submitted.job_id, "submission": submission, "submitted": time.time()}
        write_json(self._note(job), note)
        return self._job(submitted, outcome, time.time())

    def _note(self, job: Job) -> Path:
        # By folder, not by model: an extended study may rename a model.
        return self.folder / f"{job.folder.name}.json"

    def _job(self, job: Any, outcome: OutcomeFile, submitted: float) -> "SlurmJob":
        if self._cluster != "slurm":
            return SlurmJob(job, outcome, lambda: str(job.state), submitted, local=True)
        self._states.add(job.job_id)
        return SlurmJob(job, outcome, lambda: self._states.of(job.job_id), submitted)


class SlurmJob(Running):
    """A submitted job."""

    def __init__(
        self, job: Any, outcome: OutcomeFile, ask: Callable[[], str], submitted: float, local: bool = False
    ) -> None:
        """Follow a job by ``ask``, which returns its state, from time ``submitted``; ``local``: a child process."""
        self.queued, self.reason, self.state = True, "", UNKNOWN
        self._job, self._file, self._ask = job, outcome, ask
        self._since = submitted
        self._is_local = local

    def poll(self) -> int | None:
        """Return the command's exit code, 1 if the cluster ended it, or None while it may still run or be requeued."""
        state = self._look()
        if outcome := self._outcome(state):
            # A local job is a child of this process, and has to be reaped.
            return None if self._is_local and state == "RUNNING" else self._end(outcome)
        self.queued = state in QUEUED
        if state in LIVE or time.time() - self._since < self._doubted(state):
            return None
        if state == "COMPLETED":
            return 0
        self.reason = f"{self._said(state)} ({self._files()})"
        return 1

    def lives(self) -> bool:
        """Return whether it is waiting or running."""
        state = self._look()
        if self._outcome(state):
            return False
        return state in LIVE or (state in {UNKNOWN, GONE} and time.time() - self._since < FORGIVEN)

    def stop(self) -> None:
        """Cancel the job."""
        self._job.cancel(check=False)  # it may have ended

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
                folder = self._file.path.parent
                folder.chmod(folder.stat().st_mode)
        return state

    def _outcome(self, state: str) -> Outcome | None:
        """Return how the command has ended; not how it did before the job was requeued."""
        outcome = self._file.read()
        if outcome is None or self._is_local:
            return outcome
        if state in QUEUED:
            return None
        if state in LIVE and SlurmStates.restarts(self._job.job_id) not in {None, outcome.restart}:
            return None
        return outcome

    def _end(self, outcome: Outcome) -> int:
        self.queued, self.state = False, "COMPLETED"
        if outcome.code is not None:
            return outcome.code
        self.reason = f"its job failed: {outcome.reason or 'no reason given'} ({self._files()})"
        return 1

    def _said(self, state: str) -> str:
        if state in {UNKNOWN, GONE}:
            return f"SLURM has no job {self._job.job_id}"
        # By submitit, before the command: if Python does not start, or does not find semiseg.
        if state in {"FAILED", "FINISHED"} and (last := _last_line(self._job.paths.stderr)):
            return f"its job failed: {last}"
        return f"was ended by SLURM: {state}"

    def _files(self) -> str:
        return f"job {self._job.job_id}; submitit's log is {self._job.paths.stderr}"


def _read(note: Path) -> Mapping[str, Any]:
    """Return a job's note; empty if there is none."""
    with suppress(OSError, ValueError):
        value = json.loads(note.read_text(encoding="utf-8"))
        if isinstance(value, dict) and "job_id" in value:
            return value
    return {}


def _last_line(log: Path) -> str:
    """Return the last line of a log that is not SLURM's own; empty if there is none."""
    lines: list[str] = []
    with suppress(OSError):
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    said = (line.strip() for line in reversed(lines) if not line.startswith(("srun: ", "slurmstepd: ")))
    return next(filter(None, said), "")


def _sweep(folder: Path) -> None:
    """Remove the files that a refused submission leaves, which would accumulate with every attempt."""
    for left in (*folder.glob(".submission_file_*.sh"), *folder.glob("?" * 32 + ".pkl")):
        if not left.is_symlink():
            left.unlink(missing_ok=True)
