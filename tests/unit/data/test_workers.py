"""What cannot be sent to worker processes is told in words, wherever it fails."""

import multiprocessing
import threading
from functools import partial

import pytest

from semiseg.data.workers import in_workers
from semiseg.errors import ComponentError


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


def test_results_come_in_order():
    assert results(Work()) == [0, 2, 4, 6, 8]


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
