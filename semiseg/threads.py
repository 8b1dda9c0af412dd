"""Work on many cases in threads; the number of threads limits how many cases are in memory at once."""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar, cast

from semiseg.cores import available_cores

Item = TypeVar("Item")
Result = TypeVar("Result")
Progress = Callable[[], object]
"""Called in the calling thread after each case."""


def in_threads(
    work: Callable[[Item], Result], items: Iterable[Item], workers: int | None = None, progress: Progress | None = None
) -> list[Result]:
    """Return the results of ``work`` in the order of the items. An exception cancels pending items and is raised.

    Threads rather than processes: file reading and array operations release the GIL, and volumes need not be copied.
    ``workers`` defaults to the number of available cores, at most eight.
    """
    stopped = threading.Event()

    def attempt(item: Item) -> Result | None:
        if stopped.is_set():  # set by the failing thread: otherwise more items would start before the caller cancels
            return None
        try:
            return work(item)
        except BaseException:
            stopped.set()
            raise

    with ThreadPoolExecutor(workers or min(available_cores(), 8)) as pool:
        futures = [pool.submit(attempt, item) for item in items]
        try:
            for future in as_completed(futures):
                future.result()
                if progress is not None:
                    progress()
        except BaseException:
            stopped.set()
            raise
    return [cast(Result, future.result()) for future in futures]
