"""One process for one run folder: a lock that names its holder, and is taken over from the dead."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from semiseg.errors import RunError


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock. Raises RunError, naming host and process, where a living process holds it."""
    path = folder / "lock.json"
    mine = {"host": socket.gethostname(), "pid": os.getpid(), "started": _start_time(os.getpid())}
    _acquire(path, mine)
    try:
        yield
    finally:
        with suppress(OSError):
            if _read(path) == mine:
                path.unlink()


def holder(folder: Path) -> dict[str, Any]:
    """Who holds the folder's lock: host, pid and start time of a living process; empty where nobody does."""
    found = _read(folder / "lock.json")
    return found if _alive(found) else {}


def _acquire(path: Path, mine: dict[str, Any]) -> None:
    for _ in range(3):
        try:
            with path.open("x", encoding="utf-8") as file:
                json.dump(mine, file)
            return
        except FileExistsError:
            holder = _read(path)
            if _alive(holder):
                raise RunError(
                    f"{path.parent} is in use by process {holder.get('pid')} on {holder.get('host')}.",
                    f"Wait for it, choose another --output, or, if that process is gone, delete {path}.",
                ) from None
            # Renaming is atomic: of two processes that find a dead lock, one takes it away.
            with suppress(FileNotFoundError):
                aside = path.with_name(f".dead-lock-{os.getpid()}")
                path.rename(aside)
                aside.unlink()
    raise RunError(f"{path} changes hands too fast to be locked.", "Run one process per folder.")


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _alive(holder: dict[str, Any]) -> bool:
    if not holder:
        return False  # written half by a process that was killed
    if holder.get("host") != socket.gethostname():
        return True  # it cannot be seen from here
    try:
        return _start_time(int(holder["pid"])) == holder.get("started")
    except (KeyError, ValueError, TypeError):
        return False


def _start_time(pid: int) -> str:
    """When a process started, in a form that differs for two processes of the same number; empty where none runs."""
    try:
        # Fields after the command's closing bracket; the 20th of them is the start time in clock ticks.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        pass
    if Path("/proc/self/stat").exists():
        return ""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return "unknown"
    except OSError:
        return ""
    return "unknown"
