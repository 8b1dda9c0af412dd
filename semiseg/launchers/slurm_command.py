"""A job on a cluster node: the command, which saves its state and ends when the job must end."""

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from semiseg.launchers.slurm_outcome import OutcomeFile

_MARGIN = 15.0
"""Seconds reserved for submitit to requeue a job before the cluster kills it."""
_AFTERMATH = 600.0
"""Seconds to wait for the cluster's action on a job after its command was asked to end."""
_REAPED = 5.0


class RunCommand:
    """A command whose output is appended to a log file; calling it writes and returns the exit code.

    Shortly before the end of its job, or when the job is preempted, submitit's signal handler interrupts the call, gets
    the continuation from ``checkpoint``, and requeues the job.
    """

    def __init__(self, command: list[str], log: str, outcome: OutcomeFile, warning: float = 90.0) -> None:
        """Set ``warning``: seconds from the signal to the job's end."""
        self.command, self.log, self.outcome, self.warning = command, log, outcome, warning
        self._process: subprocess.Popen[bytes] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return RunCommand, (self.command, self.log, self.outcome, self.warning)  # the process stays on its node

    def __call__(self) -> int:
        """Run the command until it ends."""
        try:
            self.outcome.clear()
            code = self._run()
        except Exception as error:  # BaseException: interrupted, and perhaps requeued
            self.outcome.write(None, _in_a_line(error))
            raise
        self.outcome.write(code)
        return code

    def checkpoint(self) -> Any:
        """Make the command save its state and end, and return the continuation for submitit."""
        from submitit.helpers import DelayedSubmission

        self._end()
        return DelayedSubmission(RunCommand(self.command, self.log, self.outcome, self.warning))

    def _run(self) -> int:
        with Path(self.log).open("a", encoding="utf-8") as log:
            self._process = self._start(log)
            try:
                code = self._process.wait()
                if code in {-signal.SIGTERM, 128 + signal.SIGTERM}:
                    self._await_cluster()
                return code
            except BaseException:
                self._end()
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(_REAPED)
                raise

    def _start(self, log: Any) -> "subprocess.Popen[bytes]":
        # SLURM's warning reaches every process of the job and would kill the command, which should get one SIGTERM.
        before = signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        try:
            return subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        finally:
            signal.signal(signal.SIGUSR2, before)

    def _end(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        # Runs in a signal handler: the interrupted wait holds Popen's internal lock, so poll() and wait() of the same
        # object would never see the end. That wait reaps the process.
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(process.pid, signal.SIGTERM)
            latest = time.monotonic() + max(self.warning - _MARGIN, _MARGIN)
            while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                if time.monotonic() > latest:  # resumes from its last finished epoch
                    os.kill(process.pid, signal.SIGKILL)
                    return
                time.sleep(0.1)

    @staticmethod
    def _await_cluster() -> None:
        """Wait after a SIGTERM from outside, by which SLURM preempts or cancels the job.

        Returning a result now would mark the job as finished and prevent it from being requeued.
        """
        latest = time.monotonic() + _AFTERMATH
        while "SLURM_JOB_ID" in os.environ and time.monotonic() < latest:
            time.sleep(1)


def _in_a_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
