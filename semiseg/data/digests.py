"""SHA-256 of files' content, remembered by path, size and time of change, so that a file is read once."""

import hashlib
import os
import time
import uuid
from pathlib import Path

_SETTLED_NS = 2_000_000_000


def digest_text(text: str) -> str:
    """SHA-256 of a text, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


class Digests:
    """A folder of small notes, one a file, that any number of processes may write at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def of(self, path: Path) -> str:
        """The digest of a file's content. Raises OSError where it cannot be read."""
        status = path.stat()
        key = digest_text(f"{path.resolve()}\n{status.st_size}\n{status.st_mtime_ns}")
        note = self.folder / key[:2] / key
        known = note.read_text(encoding="utf-8") if note.is_file() else ""
        if len(known) == 64:
            return known
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        # A file that has just been written may change again within one tick of the clock, unseen.
        if time.time_ns() - status.st_mtime_ns > _SETTLED_NS:
            self._write(note, digest)
        return digest

    def _write(self, note: Path, digest: str) -> None:
        note.parent.mkdir(parents=True, exist_ok=True)
        temporary = note.with_name(f".tmp-{os.getpid()}-{uuid.uuid4().hex[:8]}")
        temporary.write_text(digest, encoding="utf-8")
        temporary.replace(note)
