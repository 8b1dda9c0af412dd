"""Work on numbered items in worker processes, with results in order.

torch's DataLoader is not used. It sends tensors through shared memory (which runs out of /dev/shm or of file
descriptors, "received 0 items of ancdata"), it reports a killed worker at an arbitrary point of the main thread, and
its workers die from the Ctrl-C on which the main process saves. A socket to each worker avoids all of this.
"""

import atexit
import pickle
import signal
import struct
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from socket import socket, socketpair
from typing import Any, TypeVar

import numpy as np
import torch

from semiseg.errors import ComponentError, SemisegError, TrainingError

Made = TypeVar("Made")
Result = TypeVar("Result")

_SECONDS_TO_END = 5
"""Time limit for a process whose socket is closed to end, so that its exit code is known."""


def in_workers(
    work: Callable[[int], Made], finish: Callable[[Made], Result], items: Sequence[int], n_workers: int
) -> Generator[Result, None, None]:
    """Yield ``finish(work(item))`` of each item, in order; close the generator to stop the workers early.

    Worker i handles every n-th item and is at most one ahead of the requests, because its socket is then full. ``work``
    is pickled and runs in the worker; ``finish`` runs here, in a thread, while the previous result is used. Processes
    are spawned: forking a process with threads or CUDA may hang.

    Raises:
        Exception: as raised by ``work``. TrainingError: a worker was killed. ComponentError: ``work`` cannot be
            pickled.
    """
    try:
        pickled = pickle.dumps(work)
    except Exception as error:  # anything that a component's __reduce__ raises
        raise _not_sent(error) from error
    with ExitStack() as stack:  # exits in reverse order: with the workers gone, the reader sees EOF
        pairs = [socketpair() for _ in range(n_workers)]
        sources = [stack.enter_context(here) for here, _ in pairs]
        reader = stack.enter_context(ThreadPoolExecutor(1))
        processes = [
            stack.enter_context(_worker(there, pickled, items[first::n_workers]))
            for first, (_, there) in enumerate(pairs)
        ]

        def read(index: int) -> Result:
            try:
                made = receive(sources[index % n_workers])
            except (EOFError, ConnectionError):
                raise _ended(processes[index % n_workers], began=index >= n_workers) from None
            if isinstance(made, Exception):
                raise made
            return finish(made)

        coming: Future[Result] = reader.submit(read, 0)
        for index in range(len(items)):
            result = coming.result()
            if index + 1 < len(items):
                coming = reader.submit(read, index + 1)
            yield result


@contextmanager
def _worker(there: socket, pickled: bytes, items: Sequence[int]) -> Iterator[BaseProcess]:
    with there:  # closed here once the process has it, so that its end is detected
        process = get_context("spawn").Process(target=_serve, args=(there, pickled, items), daemon=True)
        process.start()
    atexit.register(process.kill)
    try:
        yield process
    finally:
        process.kill()  # it holds nothing that needs an orderly shutdown
        process.join()
        atexit.unregister(process.kill)


def _serve(to: socket, pickled: bytes, items: Sequence[int]) -> None:
    # Stop signals reach the whole process group; the main process decides, and may still need this batch.
    for name in ("SIGINT", "SIGTERM", "SIGUSR1"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    torch.set_num_threads(1)
    with to, suppress(ConnectionError):  # the main process may be gone
        try:
            work = pickle.loads(pickled)
        except Exception as error:
            send(to, _not_sent(error))  # for example a class from a notebook, which does not exist here
            return
        for item in items:
            send(to, _result(work, item))


def _result(work: Callable[[int], object], item: int) -> object:
    try:
        return work(item)
    except SemisegError as error:
        return error
    except Exception as error:  # a bug in semiseg or a plugin: show the other process where it happened
        error.add_note(f"In a worker process:\n{traceback.format_exc()}")
        return error


def _not_sent(error: Exception) -> ComponentError:
    return ComponentError(
        f"The sampler cannot be sent to worker processes: {error}.",
        "Set training.workers=0. Or fix the component, usually the augmentation: define its class in a module, and keep"
        " lambdas, nested functions, open files and locks out of its attributes.",
    )


def _ended(process: BaseProcess, began: bool) -> TrainingError:
    process.join(_SECONDS_TO_END)
    if not began and (process.exitcode or 0) > 0:  # by itself; lack of memory would end it by a signal
        return TrainingError(
            "A worker process exited at startup. Usually the script that calls semiseg has no main guard, so that each"
            " new process runs the whole script again.",
            'In your own script, call semiseg under `if __name__ == "__main__":`, or set training.workers=0.',
        )
    return TrainingError(
        "A worker process was killed, usually because memory ran out.",
        "Set training.workers=0, or use fewer workers, and run again with --resume. In your own script, call semiseg"
        ' under `if __name__ == "__main__":`.',
    )


def send(to: socket, value: Any) -> None:
    """Write a value. Raises BrokenPipeError or ConnectionResetError if the reader is gone."""
    buffers: list[pickle.PickleBuffer] = []
    pickled = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    parts = [memoryview(pickled), *(buffer.raw() for buffer in buffers)]
    to.sendall(struct.pack(f"<Q{len(parts)}Q", len(parts), *(part.nbytes for part in parts)))
    for part in parts:
        to.sendall(part)


def receive(source: socket) -> Any:
    """Read a value, from semiseg's own processes only. Raises EOFError if the writer has ended."""
    (count,) = struct.unpack("<Q", _read(source, 8))
    sizes = struct.unpack(f"<{count}Q", _read(source, 8 * count))
    pickled, *buffers = (_read(source, size) for size in sizes)
    return pickle.loads(pickled, buffers=buffers)


def _read(source: socket, size: int) -> memoryview:
    left = data = np.empty(size, np.uint8).data
    while left:
        count = source.recv_into(left)
        if not count:
            raise EOFError
        left = left[count:]
    return data
