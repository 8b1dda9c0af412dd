"""Jobs of a SLURM cluster, by submitit (extra ``slurm``): each is one model's plain command."""

import json
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from semiseg.errors import RecipeError
from semiseg.io.atomic import write_json
from semiseg.study.jobs import Job

_DEFAULTS: Mapping[str, Any] = {"gpus_per_node": 1, "cpus_per_task": 8, "timeout_min": 24 * 60}
_LIVE = {"PENDING", "RUNNING", "REQUEUED", "CONFIGURING", "COMPLETING", "SUSPENDED", "UNKNOWN", "READY"}


class SlurmLauncher:
    """Submits every job at once and follows it. Jobs go on without the study's command, which finds them again."""

    survives = True

    def __init__(self, folder: Path, options: Mapping[str, Any], jobs: int | None = None, cluster: str = "slurm"):
        """``folder`` keeps submitit's files; ``options`` are the study's ``slurm`` block; ``cluster``: also "local".

        Raises RecipeError where submitit is not installed, or does not know an option.
        """
        try:
            import submitit
        except ImportError as error:
            raise RecipeError("submitit is not installed.", 'pip install "semiseg[slurm]"') from error
        self.slots = jobs or 1_000
        self._folder, self._cluster = folder, cluster
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

    def start(self, job: Job) -> "SlurmJob":
        """Submit the job, or find it where it was submitted before and has not ended."""
        note = self._folder / f"{job.name}.json"
        if earlier := self._earlier(note):
            return earlier
        job.log.parent.mkdir(parents=True, exist_ok=True)
        self._executor.update_parameters(name=job.name)
        submitted = self._executor.submit(run_command, job.command, str(job.log))
        write_json(note, {"job_id": submitted.job_id})
        return SlurmJob(submitted)

    def _earlier(self, note: Path) -> "SlurmJob | None":
        import submitit

        with suppress(OSError, ValueError, KeyError):
            job_id = json.loads(note.read_text(encoding="utf-8"))["job_id"]
            if self._cluster == "slurm":
                found = SlurmJob(submitit.SlurmJob(folder=self._folder, job_id=job_id))
                return found if found.poll() is None else None
        return None


class SlurmJob:
    """A submitted job."""

    def __init__(self, job: Any) -> None:
        self._job = job

    def poll(self) -> int | None:
        """The command's exit code, 1 where the cluster ended it; None while it waits or runs."""
        if self._job.state.split()[0].rstrip("+") in _LIVE and not self._job.done():
            return None
        try:
            return int(self._job.result())
        except Exception:
            return 1

    def stop(self) -> None:
        """Cancel it."""
        self._job.cancel()


def run_command(command: list[str], log: str) -> int:
    """What a job does: the command, with what it says at the end of a file. Returns its exit code."""
    with Path(log).open("a", encoding="utf-8") as file:
        return subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, check=False).returncode
