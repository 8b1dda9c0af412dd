"""Images that have the names of a run's own training cases."""

from collections.abc import Collection, Iterable

from semiseg.errors import RunError
from semiseg.messages import counted, some
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
    has = f"{counted(len(known), 'image')} {'has the name' if len(known) == 1 else 'have the names'}"
    return f"{has} of training or validation cases of the run, not of new ones: {some(known, _NAMED)}"
