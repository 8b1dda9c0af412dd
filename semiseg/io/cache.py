"""Where semiseg keeps what can be made again."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """$SEMISEG_CACHE, else ~/.cache/semiseg."""
    return Path(os.environ.get("SEMISEG_CACHE") or "~/.cache/semiseg").expanduser()
