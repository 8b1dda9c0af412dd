"""SHA-256 of files' content, remembered so that a file is read once."""

import hashlib
import os
import time
import uuid
from contextlib import suppress
from pathlib import Path

_SETTLED_NS = 2_000_000_000


def digest_text(text: str) -> str:
    """SHA-256 of a text, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


class Digests:
    """A folder of small notes, one a file, that any number of processes may write at once.

    A note is found by all that the file system says of a file's state. The time of modification can be set back
    (``rsync -t``, ``cp -p``, ``tar``), that of the last change of the inode cannot. Where a network's file system
    gives other numbers to the same file, it is read once more.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def of(self, path: Path) -> str:
        """The digest of a file's content. Raises OSError where it cannot be read."""
        status = path.stat()
        state = status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino
        key = digest_text("\n".join(map(str, (path.resolve(), *state))))
        note = self.folder / key[:2] / key
        known = note.read_text(encoding="utf-8") if note.is_file() else ""
        if len(known) == 64:
            return known
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        # A file that has just been written may change again within one tick of the clock, unseen.
        if time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns) > _SETTLED_NS:
            self._write(note, digest)
        return digest

    def _write(self, note: Path, digest: str) -> None:
        with suppress(OSError):  # without a note the file is read once more
            note.parent.mkdir(parents=True, exist_ok=True)
            temporary = note.with_name(f".tmp-{os.getpid()}-{uuid.uuid4().hex[:8]}")
            temporary.write_text(digest, encoding="utf-8")
            temporary.replace(note)
