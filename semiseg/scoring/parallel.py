"""Work on many cases in threads, with all problems in one error."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from semiseg.errors import DataError, Problem, raise_all
from semiseg.threads import Progress, in_threads

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_cases(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    workers: int | None = None,
    progress: Progress | None = None,
) -> list[Result]:
    """Return the results of a function, in the order of the items.

    Raises one DataError with the problems of all items; any other error stops the rest. See ``in_threads``.
    """

    def attempt(item: Item) -> Result | DataError:
        try:
            return function(item)
        except DataError as error:
            return error

    return gather([partial(_result, found) for found in in_threads(attempt, items, workers, progress)])


def gather(calls: Sequence[Callable[[], Result]]) -> list[Result]:
    """Make the calls in order and return their results; the problems of all DataErrors are raised as one."""
    results, problems = [], list[Problem]()
    for call in calls:
        try:
            results.append(call())
        except DataError as error:
            problems.extend(error.problems)
    raise_all(problems, DataError)
    return results


def _result(found: Result | DataError) -> Result:
    if isinstance(found, DataError):
        raise found
    return found
