"""A job as a cluster's node runs it: the command, which saves its state and ends when the job has to."""

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

_MARGIN = 15.0
"""Seconds before the cluster kills a job, for submitit to requeue it."""
_AFTERMATH = 600.0
"""Seconds for which a job waits, after its command was told to end, for what the cluster does with it."""
_REAPED = 5.0


class RunCommand:
    """A command, with what it says at the end of a file; called, it returns the exit code.

    Some time before its job's end, or when the job gives way to another, submitit's signal handler interrupts the
    call, asks ``checkpoint`` for what goes on, and requeues the job.
    """

    def __init__(self, command: list[str], log: str, warning: float = 90.0) -> None:
        """``warning``: seconds from the signal to the job's end."""
        self.command, self.log, self.warning = command, log, warning
        self._process: subprocess.Popen[bytes] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return RunCommand, (self.command, self.log, self.warning)  # the process stays on its node

    def __call__(self) -> int:
        """Run the command to its end."""
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

    def checkpoint(self) -> Any:
        """Have the command save its state and end, and give submitit what goes on."""
        from submitit.helpers import DelayedSubmission

        self._end()
        return DelayedSubmission(RunCommand(self.command, self.log, self.warning))

    def _start(self, log: Any) -> "subprocess.Popen[bytes]":
        # SLURM's warning reaches every process of the job. It would kill the command, which is told by SIGTERM, once.
        before = signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        try:
            return subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        finally:
            signal.signal(signal.SIGUSR2, before)

    def _end(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        # In a signal handler: the wait that it interrupts holds Popen's own lock, so that poll() and wait() of the
        # same object would never see the end. The process is left to be reaped by that wait.
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(process.pid, signal.SIGTERM)
            latest = time.monotonic() + max(self.warning - _MARGIN, _MARGIN)
            while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                if time.monotonic() > latest:  # it goes on from its last finished epoch
                    os.kill(process.pid, signal.SIGKILL)
                    return
                time.sleep(0.1)

    @staticmethod
    def _await_cluster() -> None:
        """SIGTERM came from outside: SLURM gives the job's room to another, or it is cancelled.

        A result now would say that the job is over, and keep it from being requeued.
        """
        latest = time.monotonic() + _AFTERMATH
        while "SLURM_JOB_ID" in os.environ and time.monotonic() < latest:
            time.sleep(1)
