"""The systems that semiseg runs on: its locks, signals and processes are POSIX's."""

import sys

from semiseg.errors import RunError


def require_platform() -> None:
    """Raises RunError on Windows, which has neither the locks of a run folder nor the signals that stop a run."""
    system: str = sys.platform
    if system == "win32":
        raise RunError(
            "semiseg runs on Linux and macOS, not on Windows itself.",
            "On Windows, install and run it inside WSL (Windows Subsystem for Linux): wsl --install",
        )
