"""Work on numbered items in worker processes, in order, by torch's DataLoader, with its pitfalls dealt with."""

import signal
import threading
import warnings
from collections.abc import Callable, Generator, Iterator
from typing import Any, Generic, TypeVar

import torch
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from semiseg.errors import SemisegError, TrainingError

Result = TypeVar("Result")


def in_workers(work: Callable[[int], Result], items: range, workers: int) -> Generator[Any, None, None]:
    """The results of ``work`` on each item, in order. Where there is a GPU, ``pin_memory()`` of each.

    Results should hold numpy arrays, not tensors: arrays are pickled through a pipe, so that neither file
    descriptors ("received 0 items of ancdata") nor /dev/shm (64 MB in a container) can run out. Processes are
    spawned, since a fork of a process with threads or CUDA may hang.

    Raises:
        SemisegError: as ``work`` raised it. TrainingError: a worker was killed.
    """
    iterator = _start(work, items, workers)
    for _ in items:
        try:
            result = next(iterator)
        except RuntimeError as error:
            if str(error).startswith("DataLoader worker"):
                raise _killed() from error
            raise
        if isinstance(result, SemisegError):
            raise result
        yield result


def _start(work: Callable[[int], Result], items: range, workers: int) -> Iterator[Any]:
    with warnings.catch_warnings():
        # More workers than cores is the user's choice.
        warnings.filterwarnings("ignore", "This DataLoader will create", UserWarning)
        loader: DataLoader[Any] = DataLoader(
            _Work(work, items),
            batch_size=None,
            num_workers=workers,
            collate_fn=_as_it_is,
            pin_memory=torch.cuda.is_available(),
            multiprocessing_context="spawn",
            worker_init_fn=_ignore_signals,
            generator=torch.Generator(),  # else it draws from the default one, whose state is the run's
        )
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGCHLD) if main else None
    iterator = iter(loader)
    if main:
        # The loader's own handler raises wherever the main thread is when a worker dies; here it is told by next().
        signal.signal(signal.SIGCHLD, before)
    return iterator


class _Work(TorchDataset[Any], Generic[Result]):
    def __init__(self, work: Callable[[int], Result], items: range) -> None:
        self._work, self._items = work, items

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> Result | SemisegError:
        try:
            return self._work(self._items[index])
        except SemisegError as error:  # the loader would raise it again without its problems
            return error


def _as_it_is(value: Any) -> Any:
    return value


def _ignore_signals(worker: int) -> None:
    # Ctrl-C and SIGTERM reach the whole process group; the main process decides, and may still need this batch.
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_IGN)


def _killed() -> TrainingError:
    return TrainingError(
        "A process that makes samples was killed; most often memory ran out.",
        "Set training.workers=0, or fewer workers, and run again with --resume. In a script of your own, call semiseg"
        ' under `if __name__ == "__main__":`.',
    )
