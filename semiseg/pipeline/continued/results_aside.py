"""Earlier results of a run, kept in a subfolder that is itself a run."""

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from semiseg.io.atomic import link_or_copy, write_text
from semiseg.runs.checkpoint import checksum_file
from semiseg.runs.folder import RunFolder


def scores_of(folder: RunFolder) -> tuple[Path, ...]:
    """Return the files that follow from the predictions; the summary, without which a run is unfinished, is first."""
    return folder.summary, folder.scores, folder.expected, folder.report, folder.preview


def results_of(folder: RunFolder) -> tuple[Path, ...]:
    """Return the files that follow from the weights."""
    return *scores_of(folder), folder.predictions, folder.agreement, folder.postprocessing, folder.quality


def keep_results(folder: RunFolder, aside: Path, results: Sequence[Path]) -> bool:
    """Move results into a subfolder, with the run's weights and recipe, if there are any or some were moved before.

    After a kill, the same call finishes the move. Returns whether there is such a subfolder.
    """
    if not (aside.exists() or any(path.exists() for path in results)):
        return False
    (aside / folder.checkpoints.name).mkdir(parents=True, exist_ok=True)
    if not (aside / folder.recipe.name).exists():
        for weights in (folder.weights("last"), folder.weights("best")):
            _link(weights, aside / folder.checkpoints.name)
            _link(checksum_file(weights), aside / folder.checkpoints.name)
        made_with = folder.initial_report, folder.pseudo_label_files
        _copy((folder.model, folder.split, folder.environment, folder.log, *made_with, folder.recipe), aside)
    for path in filter(Path.exists, results):
        target = aside / path.name
        if target.is_dir():  # from a start that was killed, after which the run went on with its old recipe
            shutil.rmtree(target)
        path.replace(target)
    return True


def _copy(paths: Iterable[Path], into: Path) -> None:
    """Copy files in this order, each atomically."""
    for path in paths:
        if path.exists():
            write_text(into / path.name, path.read_text(encoding="utf-8", errors="replace"))


def _link(path: Path, into: Path) -> None:
    """Hard-link a file; training replaces files and never changes them in place."""
    target = into / path.name
    if path.exists() and not target.exists():
        link_or_copy(path, target)
