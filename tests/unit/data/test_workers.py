"""What cannot be sent to worker processes is told in words, wherever it fails."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from functools import partial

import pytest

from semiseg.data.workers import in_workers
from semiseg.errors import ComponentError, TrainingError


class Work:
    """Doubles a number, and holds something."""

    def __init__(self, held=None):
        self.held = held

    def __call__(self, item):
        return 2 * item


class Stubborn:
    """Refuses to be pickled in words of its own."""

    def __reduce__(self):
        raise RuntimeError("tied to this process")


def fail(text):
    raise RuntimeError(text)


class NotThere:
    """Is pickled, but cannot be made again."""

    def __reduce__(self):
        return fail, ("unknown there",)


def results(work):
    return list(in_workers(work, partial(round, ndigits=None), range(5), 2))


@pytest.mark.slow
def test_results_come_in_order():
    assert results(Work()) == [0, 2, 4, 6, 8]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("held", "told"),
    [
        (lambda x: x, "lambda"),
        (threading.Lock(), "cannot pickle '_thread.lock' object"),
        (Stubborn(), "tied to this process"),
        (NotThere(), "unknown there"),
    ],
    ids=["lambda", "lock", "own words", "not there"],
)
def test_what_cannot_be_sent_is_told_with_what_helps(held, told):
    with pytest.raises(ComponentError) as error:
        results(Work(held))

    assert told in str(error.value)
    assert "cannot be sent to worker processes" in str(error.value)
    assert "Set training.workers=0." in str(error.value)
    assert not multiprocessing.active_children()


SCRIPT = """
from functools import partial
from operator import neg
from semiseg.data.workers import in_workers
from semiseg.errors import TrainingError

try:
    list(in_workers(neg, partial(round, ndigits=None), range(4), 1))
except TrainingError as error:
    print(error)
"""


@pytest.mark.slow
def test_a_script_without_a_main_guard_is_told_of_the_guard_first(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, "script.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60)
    what, fix = done.stdout.splitlines()
    assert what.startswith("A worker process exited at startup. Usually the script that calls semiseg")
    assert "has no main guard" in what
    assert fix.strip().startswith('In your own script, call semiseg under `if __name__ == "__main__":`')
    assert "memory" not in done.stdout


def kill_at_three(item):
    if item == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return item


@pytest.mark.slow
def test_a_process_that_is_killed_most_often_ran_out_of_memory():
    with pytest.raises(TrainingError, match=r"was killed, usually because memory ran out\."):
        results(kill_at_three)
