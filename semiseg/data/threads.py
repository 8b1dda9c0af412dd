"""The same work on many cases, in as many threads as there are to be cases in memory at once."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

from semiseg.cores import available_cores

Item = TypeVar("Item")
Result = TypeVar("Result")
Progress = Callable[[], object]
"""Called in the calling thread each time a case is done."""


def in_threads(
    work: Callable[[Item], Result], items: Iterable[Item], workers: int | None = None, progress: Progress | None = None
) -> list[Result]:
    """The results of ``work``, in the order of the items. An exception stops what has not begun, and is raised."""
    with ThreadPoolExecutor(workers or min(available_cores(), 8)) as pool:
        futures = [pool.submit(work, item) for item in items]
        try:
            for future in as_completed(futures):
                future.result()
                if progress is not None:
                    progress()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [future.result() for future in futures]
