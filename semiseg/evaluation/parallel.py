"""Work on many cases in threads, with all their problems in one error."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from semiseg.cores import available_cores
from semiseg.errors import DataError, Problem, raise_all

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_cases(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    workers: int | None = None,
    tick: Callable[[], None] = lambda: None,
) -> list[Result]:
    """The results of a function, in the order of the items; ``tick`` is called in this thread after each.

    Threads, not processes: reading files and searching neighbors release the interpreter's lock, and volumes need
    not be copied. ``workers`` is their number, all available cores if None. Raises one DataError with the problems
    of all items; any other error stops the rest.
    """
    executor = ThreadPoolExecutor(workers or available_cores())

    def finished(future: Future[Result]) -> Result:
        try:
            return future.result()
        finally:
            tick()

    try:
        return gather([partial(finished, executor.submit(function, item)) for item in items])
    finally:
        executor.shutdown(cancel_futures=True)


def gather(calls: Sequence[Callable[[], Result]]) -> list[Result]:
    """The results of some calls, made in order; the problems of all DataErrors among them are raised as one."""
    results, problems = [], list[Problem]()
    for call in calls:
        try:
            results.append(call())
        except DataError as error:
            problems.extend(error.problems)
    raise_all(problems, DataError)
    return results
