"""States of a study's jobs, as reported by SLURM."""

import re
import subprocess
import time
from collections.abc import Iterable

UNKNOWN = "UNKNOWN"
"""State if neither sacct nor squeue has answered."""
GONE = "GONE"
"""State if SLURM has answered but does not know the job."""
QUEUED = {"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT"}
LIVE = QUEUED | {"RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT", "RESIZING"}

PERIOD = 30.0
"""Minimum seconds between two queries, as all users of a cluster share its accounting database."""
_SOON = 1.0
_PATIENCE = 30.0


class SlurmStates:
    """States of jobs, all queried at once: by sacct, or by squeue if accounting is off or does not know a job."""

    def __init__(self, job_ids: Iterable[str] = ()) -> None:
        self._ids = set(job_ids)
        self._asked: set[str] = set()
        self._at = float("-inf")
        self._found: dict[str, str] = {}

    def add(self, job_id: str) -> None:
        """Include a job in the queries."""
        self._ids.add(job_id)

    def of(self, job_id: str) -> str:
        """Return a job's state as of the last query."""
        age = time.monotonic() - self._at
        if age >= PERIOD or (job_id not in self._asked and age >= _SOON):
            self._ask()
        return self._found.get(job_id, UNKNOWN)

    @staticmethod
    def restarts(job_id: str) -> int | None:
        """Return how often a job that has not ended was requeued; None if unknown. Asks about this job alone."""
        done = _run(["scontrol", "show", "job", "--oneliner", job_id])
        found = re.search(r"\bRestarts=(\d+)", done.stdout) if done else None
        return int(found[1]) if found else None

    def _ask(self) -> None:
        ids = ",".join(sorted(self._ids))
        answered, found = _slurm_says(["sacct", "--parsable2", "-X", "-o", "JobID,State", "-j", ids])
        if self._ids - set(found):
            present, queue = _slurm_says(["squeue", "--noheader", "--states=all", "-o", "%i|%T", "-j", ids])
            before = {} if answered or present else self._found  # an outage changes nothing
            found = {**before, **(dict.fromkeys(self._ids, GONE) if present else {}), **queue, **found}
        self._found, self._asked, self._at = found, set(self._ids), time.monotonic()


def _slurm_says(command: list[str]) -> tuple[bool, dict[str, str]]:
    """Return whether there was an answer, and the state of each job, from lines of job and state."""
    done = _run(command)
    if done is None:
        return False, {}
    fields = [line.split("|") for line in done.stdout.splitlines()]
    # "CANCELLED by 1000", or "CANCELLED+" in a narrow column
    found = {row[0]: row[1].split()[0].rstrip("+") for row in fields if len(row) > 1 and row[1].strip()}
    # squeue fails if the only requested job is unknown, which is an answer
    return done.returncode == 0 or "Invalid job id" in done.stderr, found


def _run(command: list[str]) -> "subprocess.CompletedProcess[str] | None":
    """Return the finished command; None if there is no such command, or it does not answer."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
