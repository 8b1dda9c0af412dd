"""Supported systems: locks, signals and processes are POSIX."""

import sys

from semiseg.errors import RunError


def require_platform() -> None:
    """Raise RunError on Windows, which lacks the file locks and signals that runs need."""
    system: str = sys.platform
    if system == "win32":
        raise RunError(
            "semiseg runs on Linux and macOS, not directly on Windows.",
            "Install WSL (Windows Subsystem for Linux) with wsl --install, and semiseg inside it.",
        )
