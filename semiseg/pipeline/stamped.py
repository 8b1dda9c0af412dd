"""Folders whose files are of certain weights, and say so."""

from pathlib import Path

from semiseg.io.atomic import sweep_temporaries, write_text


def keep_only_of(home: Path, digest: str, *patterns: str) -> None:
    """Have a folder hold what is of the weights with this digest, and nothing of others.

    What other weights made (of a run that was trained further, or went back to an older checkpoint) is no part of this
    result: files below ``home`` that match ``patterns`` go, unless its ``weights.sha256`` has the digest, which is
    written then. What killed writers left goes in any case.
    """
    for folder in (home, *(path for path in home.glob("*") if path.is_dir())):
        sweep_temporaries(folder)
    stamp = home / "weights.sha256"
    if not stamp.exists() or stamp.read_text(encoding="utf-8").strip() != digest:
        for pattern in patterns:
            for old in home.rglob(pattern):
                old.unlink()
        write_text(stamp, digest + "\n")
