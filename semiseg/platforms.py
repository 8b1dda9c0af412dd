"""Supported systems: locks, signals and processes are POSIX."""

import sys

from semiseg.errors import RunError


def require_platform() -> None:
    """Raise RunError on Windows, which lacks the file locks and signals that runs need."""
    system: str = sys.platform
    if system == "win32":
        raise RunError(
            "semiseg runs on Linux and macOS, not on Windows itself.",
            "On Windows, install and run it inside WSL (Windows Subsystem for Linux): wsl --install",
        )
