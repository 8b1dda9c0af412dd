"""The folder that an export writes."""

from pathlib import Path

from semiseg.errors import StorageError


def require_empty(home: Path, last: str = "dataset.json") -> None:
    """Raise StorageError if something exists at this path that is not an empty folder.

    ``last`` is the file that an export writes last.
    """
    if home.exists() and not home.is_dir():
        raise StorageError(f"{home} is a file.", "Choose another --output.")
    if home.exists() and any(home.iterdir()):
        whole = "" if (home / last).exists() else f", and has no {last}: an export may have been killed"
        raise StorageError(f"{home} is not empty{whole}.", "Choose another folder, or remove it first.")
