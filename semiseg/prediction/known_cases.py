"""Images that have the names of a run's own training cases."""

from collections.abc import Collection, Iterable

from semiseg.errors import RunError
from semiseg.messages import some
from semiseg.prediction.ensemble import LoadedRun

_NAMED = 4


def known_cases_note(runs: Iterable[LoadedRun], ids: Collection[str]) -> str:
    """Return a note on images named like training or validation cases of a run; empty if there are none.

    How well such images are predicted says nothing about new ones. Names are compared, not voxels.
    """
    own: set[str] = set()
    for run in runs:
        try:
            split = run.kept.folder.read_split()
        except RunError:  # a copy of the run folder without it predicts all the same
            continue
        own |= {case["id"] for role in ("labeled", "unlabeled", "validation") for case in split[role]}
    known = sorted(own & {*ids})
    if not known:
        return ""
    are = "1 image is named like a training or validation case"
    if len(known) > 1:
        are = f"{len(known)} images are named like training or validation cases"
    return f"{are} of the run, so this says nothing about new images: {some(known, _NAMED)}"
