"""The same work on many cases, in as many threads as there are to be cases in memory at once."""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar, cast

from semiseg.cores import available_cores

Item = TypeVar("Item")
Result = TypeVar("Result")
Progress = Callable[[], object]
"""Called in the calling thread each time a case is done."""


def in_threads(
    work: Callable[[Item], Result], items: Iterable[Item], workers: int | None = None, progress: Progress | None = None
) -> list[Result]:
    """The results of ``work``, in the order of the items. An exception stops what has not begun, and is raised.

    Threads, not processes: reading files and computing on arrays release the interpreter's lock, and volumes need
    not be copied. ``workers`` is their number: by default the available cores, eight at most.
    """
    stopped = threading.Event()

    def attempt(item: Item) -> Result | None:
        if stopped.is_set():  # set in the thread that failed: waiting for the caller to cancel would begin more
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
