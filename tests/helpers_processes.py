"""Commands in processes of their own that start in a moment: forked from a server that has imported torch once.

They are real processes, to be killed and signaled, and are given arguments, environment and folder as a shell would
give them. What is not tested in them is that the command line starts from nothing: tests/integration/test_start_up.py
and test_command_line_mistakes.py do that.
"""

import atexit
import io
import os
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from functools import cache
from multiprocessing import forkserver, get_context
from pathlib import Path

PRELOADED = [
    "torch._dynamo",
    "monai.networks.nets",
    "torchio",
    "scipy.stats",
    "matplotlib.figure",
    "semiseg.pipeline.run",
    "semiseg.pipeline.check",
    "semiseg.prediction.predict",
    "semiseg.bench.bench",
    "semiseg.study.run",
    "semiseg.study_report.report",
    "semiseg.backbones.unet",
    "semiseg.datasets.phantom",
    "semiseg.augmentation.luque2023",
    "semiseg.testing.strategy",
]


def prepare(*, at_once=False):
    """The context that commands are started in; the server starts with the first of them, or at once.

    A process has one such server, which the contract suite of strategies uses too: who starts it says what it imports.
    """
    context = get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    if at_once:
        forkserver.ensure_running()
    return context


@cache
def _home():
    """Where what commands say is kept until the tests end."""
    home = tempfile.mkdtemp(prefix="semiseg-tests-")
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    return home


class Command:
    """``semiseg ARGUMENTS`` or a Python file, started; what tests use of ``subprocess.Popen``."""

    def __init__(self, *arguments, env=None, program="semiseg"):
        self.args = [str(program), *map(str, arguments)]
        home = Path(tempfile.mkdtemp(dir=_home()))
        self._files = [home / "stdout", home / "stderr"]
        context = prepare()
        told = (self.args, dict(os.environ if env is None else env), Path.cwd(), *map(str, self._files))
        self._process = context.Process(target=_run, args=told)
        self._process.start()
        self.pid = self._process.pid

    @property
    def returncode(self):
        return self._process.exitcode

    @property
    def stderr(self):
        return io.StringIO(self._said()[1])

    def poll(self):
        return self._process.exitcode

    def send_signal(self, signum):
        if self.poll() is None:
            os.kill(self.pid, signum)

    def kill(self):
        self._process.kill()

    def communicate(self, timeout=None):
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(self.args, timeout, *self._said())
        return self._said()

    def _said(self):
        return [file.read_text() if file.exists() else "" for file in self._files]


def run(*arguments, check=True, program="semiseg", **environment):
    """Run a command or a Python file to its end."""
    command = Command(*arguments, env={**os.environ, **environment}, program=program)
    stdout, stderr = command.communicate()
    assert not check or command.returncode == 0, stderr[-3000:]
    return subprocess.CompletedProcess(command.args, command.returncode, stdout, stderr)


def run_on_two(*arguments, program="semiseg"):
    """Run a command or a Python file to its end in two processes, told of each other as torchrun tells its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    ranks = [{"RANK": rank, "LOCAL_RANK": rank, "GROUP_RANK": "0", "OMP_NUM_THREADS": "1", **shared} for rank in "01"]
    both = [Command(*arguments, program=program, env={**os.environ, **rank}) for rank in ranks]
    said = [command.communicate() for command in both]
    assert [command.returncode for command in both] == [0, 0], "\n".join(stderr[-3000:] for _, stderr in said)
    return "".join(stdout for stdout, _ in said)


def _run(arguments, environment, folder, stdout, stderr):
    _become(arguments, environment, stdout, stderr)
    os.chdir(folder)
    if arguments[0] != "semiseg":
        sys.path.insert(0, str(Path(arguments[0]).parent))
        runpy.run_path(arguments[0], run_name="__main__")
        return
    from semiseg.cli.main import main
    from semiseg.launchers import local

    local.subprocess = Forked
    main()


def _become(arguments, environment, stdout, stderr):
    """Take over what a process of this command line would have been given."""
    for path, number in ((stdout, 1), (stderr, 2)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(file, number)
        os.close(file)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1, closefd=False) for number in (1, 2))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where tests run in a shell's background
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = list(arguments)
    sys.path[:0] = filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))  # read when Python was started
    import torch

    if threads := environment.get("OMP_NUM_THREADS"):  # read when torch was loaded
        torch.set_num_threads(int(threads))


class Forked:
    """In place of ``subprocess`` where a study starts its runs: these are forked too."""

    DEVNULL, STDOUT = subprocess.DEVNULL, subprocess.STDOUT

    class Popen:
        """``python -m semiseg.cli.main ARGUMENTS`` in a session of its own, both outputs in one file."""

        def __init__(self, command, *, stdout, env, **others):
            at = command.index("semiseg.cli.main")
            log = f"/proc/self/fd/{stdout.fileno()}"
            self.returncode = None
            self.pid = os.fork()
            if not self.pid:
                code = 1
                try:
                    os.setsid()
                    _become(["semiseg", *command[at + 1 :]], env, log, log)
                    code = _exit_code()
                finally:
                    sys.stdout.flush()
                    sys.stderr.flush()
                    os._exit(code)

        def poll(self):
            if self.returncode is None:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                self.returncode = os.waitstatus_to_exitcode(status) if pid else None
            return self.returncode

        def wait(self):
            while self.poll() is None:
                time.sleep(0.01)
            return self.returncode

        def send_signal(self, signum):
            os.kill(self.pid, signum)


def _exit_code():
    from semiseg.cli.main import main

    try:
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(bool(end.code))
    except BaseException:
        import traceback

        traceback.print_exc()
        return 1
    return 0
