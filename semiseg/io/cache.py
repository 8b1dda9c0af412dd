"""The folder for files that semiseg can rebuild."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return $SEMISEG_CACHE, else ~/.cache/semiseg."""
    return Path(os.environ.get("SEMISEG_CACHE") or "~/.cache/semiseg").expanduser()
