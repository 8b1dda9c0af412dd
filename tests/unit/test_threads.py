"""Work in threads: what an exception stops."""

import time

import pytest

from semiseg.cores import available_cores
from semiseg.threads import in_threads


def test_an_exception_stops_what_has_not_begun():
    begun = []

    def fail(number):
        begun.append(number)
        raise RuntimeError(f"item {number}")

    with pytest.raises(RuntimeError, match="item 0"):
        in_threads(fail, range(1000), workers=1)
    assert begun == [0]


def test_an_interrupt_of_the_caller_stops_what_has_not_begun():
    begun = []

    def work(number):
        begun.append(number)
        time.sleep(0.01)  # a thousand take long enough for the caller to hear of the first

    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        in_threads(work, range(1000), workers=1, progress=stop)
    assert len(begun) < 1000


def test_there_is_a_core():
    assert available_cores() >= 1
