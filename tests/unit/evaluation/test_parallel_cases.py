"""Work on many cases at once."""

import threading

import pytest

from semiseg.errors import DataError, Problem
from semiseg.evaluation.parallel import available_cores, map_cases


def test_results_are_in_order_and_ticks_come_in_the_callers_thread():
    threads = []
    results = map_cases(lambda x: x * x, range(20), workers=4, tick=lambda: threads.append(threading.get_ident()))
    assert results == [x * x for x in range(20)]
    assert threads == [threading.get_ident()] * 20


def test_as_many_at_a_time_as_workers():
    meet = threading.Barrier(3, timeout=20)
    assert map_cases(lambda _: meet.wait() >= 0, range(3), workers=3) == [True] * 3


def test_problems_of_all_items_are_raised_as_one():
    def check(number):
        if number % 2:
            raise DataError([Problem(f"case {number}", what) for what in ("first", "second")])

    with pytest.raises(DataError) as caught:
        map_cases(check, range(6), workers=2)
    assert [problem.where for problem in caught.value.problems] == [f"case {n}" for n in (1, 1, 3, 3, 5, 5)]


def test_any_other_error_stops_what_has_not_begun():
    begun = []

    def fail(number):
        begun.append(number)
        raise ZeroDivisionError(number)

    def stop():
        raise KeyboardInterrupt

    with pytest.raises(ZeroDivisionError, match="0"):
        map_cases(fail, range(1000), workers=1)
    begun.clear()
    with pytest.raises(KeyboardInterrupt):
        map_cases(begun.append, range(20_000), workers=1, tick=stop)
    assert len(begun) < 20_000


def test_there_is_a_core():
    assert available_cores() >= 1
