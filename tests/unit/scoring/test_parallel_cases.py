"""Work on many cases at once."""

import threading

import pytest

from semiseg.errors import DataError, Problem
from semiseg.scoring.parallel import map_cases


def test_results_are_in_order_and_ticks_come_in_the_callers_thread():
    threads = []
    results = map_cases(lambda x: x * x, range(20), workers=4, progress=lambda: threads.append(threading.get_ident()))
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
