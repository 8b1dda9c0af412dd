"""Predictions that models agree on: those to train on, when no label tells which are right."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil
from pathlib import Path
from statistics import fmean

from semiseg.csv_cells import as_cell
from semiseg.errors import DataError, Problem, RunError, raise_all
from semiseg.io.atomic import atomic_file, link_or_copy, make_folder
from semiseg.io.names import CONFIDENCE, image_stem
from semiseg.messages import counted, some
from semiseg.progress import Reporter
from semiseg.scoring.evaluate import evaluate, labels_in
from semiseg.scoring.labels import Labels
from semiseg.scoring.matching import find_labels

_DICE = "dice"


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far the predictions of a case agree.

    Attributes:
        case: the case's id.
        by_class: mean Dice of each class between the prediction and the others; classes that none of a pair has are not
            counted.
        mean: of these over classes in each pair, then over pairs; 1 if all are empty.
        chosen: whether the case is selected.
    """

    case: str
    by_class: Mapping[str, float]
    mean: float
    chosen: bool = False


def select(
    predictions: Path | str,
    beside: Sequence[Path | str],
    output: Path | str,
    *,
    share: float | None = None,
    least: float | None = None,
    labels: Labels | None = None,
    workers: int | None = None,
    reporter: Reporter | None = None,
) -> list[Agreement]:
    """Choose the cases whose predictions agree best with other predictions of the same images, and copy their files.

    Other predictions are those of the models of other folds, or of the round before: cases whose pseudo-labels change
    little from one round to the next are more often right (Huang et al. 2022, "Revisiting nnU-Net for iterative pseudo
    labeling", FLARE 2022; ST++, Yang et al. 2022, for checkpoints of one training).

    Args:
        predictions: folder of label maps; confidence maps, ``CASE_confidence.nii.gz``, are copied with them.
        beside: folders of other predictions.
        output: a new or empty folder: the chosen files, as hard links where possible, and ``selection.csv``.
        share: fraction of the cases to choose, rounded up; or
        least: the lowest agreement to choose. One of the two.
        labels: as in ``evaluate``; by default each value is a class.
        workers: cases at a time; all available cores if None.
        reporter: receives progress and notes.

    Returns:
        The agreement of each case, highest first; equal ones by name.

    Raises:
        RunError: neither or both of ``share`` and ``least``, or out of range; an output folder with files in it; no
            case reaches ``least``.
        DataError: no case in common, or files that cannot be read or do not fit together; all at once.
    """
    _require(share, least, beside)
    home, out, reporter = Path(predictions), Path(output), reporter or Reporter()
    _require_empty(out)
    files = find_labels(home)
    others = [(Path(folder), find_labels(Path(folder))) for folder in beside]
    missing = _missing(files, others, reporter)
    if labels is None:  # a class that is in the predictions alone is a disagreement, not an unknown value
        compared = [*files.values(), *(path for _, there in others for path in there.values())]
        labels = labels_in(compared, workers, reporter)
    scored = [_dice(home, folder, labels, workers, reporter) for folder, _ in others]
    found = [_agreement(case, [by_case[case] for by_case in scored]) for case in files if case not in missing]
    found.sort(key=lambda one: (-one.mean, one.case))
    chosen = _chosen(found, share, least)
    make_folder(out)
    for one in chosen:
        if one.chosen:
            _link(files[one.case], out)
    _write(out / "selection.csv", chosen)
    return chosen


def _require(share: float | None, least: float | None, beside: Sequence[Path | str]) -> None:
    problems = []
    if not beside:
        problems.append(Problem("", "there are no predictions to compare with", "Name at least one folder as beside."))
    if (share is None) == (least is None):
        problems.append(Problem("", "either share or least says how many cases to choose", "Give one of the two."))
    if share is not None and not 0 < share <= 1:
        problems.append(Problem("", f"share is {share}, not above 0 and at most 1", "0.8 chooses four of five cases."))
    if least is not None and not 0 <= least <= 1:
        problems.append(Problem("", f"least is {least}, not from 0 to 1", "It is a Dice value, such as 0.9."))
    raise_all(problems, RunError)


def _require_empty(folder: Path) -> None:
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise RunError(f"{folder} already exists and is not an empty folder.", "Choose another --output.")


def _missing(
    files: Mapping[str, Path], others: Sequence[tuple[Path, Mapping[str, Path]]], reporter: Reporter
) -> set[str]:
    """Return the cases that some folder lacks, with a note for each such folder."""
    missing = set[str]()
    for folder, there in others:
        lacking = sorted(files.keys() - there.keys())
        if lacking:
            without = f"{counted(len(lacking), 'case')} without a file in {folder}"
            reporter.say(f"Note: {without}, not chosen: {some(lacking, 5)}.")
        missing.update(lacking)
    if missing >= files.keys():
        raise DataError("No case is in all folders.", "Cases are matched by name: CASE.nii.gz.")
    return missing


def _dice(
    predictions: Path, other: Path, labels: Labels | None, workers: int | None, reporter: Reporter
) -> dict[str, dict[str, float]]:
    """Return Dice by case and class, of classes that one of the two label maps has."""
    found: dict[str, dict[str, float]] = {}
    evaluation = evaluate(predictions, other, labels=labels, metrics=[_DICE], workers=workers, reporter=reporter)
    for score in evaluation.scores:
        by_class = found.setdefault(score.case, {})
        if score.n_reference or score.n_prediction:
            by_class[score.class_name] = score.value
    return found


def _agreement(case: str, pairs: Sequence[Mapping[str, float]]) -> Agreement:
    names = dict.fromkeys(name for pair in pairs for name in pair)
    by_class = {name: fmean(pair[name] for pair in pairs if name in pair) for name in names}
    return Agreement(case, by_class, fmean(fmean(pair.values()) if pair else 1.0 for pair in pairs))


def _chosen(found: Sequence[Agreement], share: float | None, least: float | None) -> list[Agreement]:
    if share is not None:
        count = ceil(len(found) * Fraction(str(share)))  # exact: 0.7 of 10 cases are 7
        wanted = [rank < count for rank in range(len(found))]
    else:
        assert least is not None
        wanted = [one.mean >= least for one in found]
        if not any(wanted):
            what = f"No case has an agreement of at least {least:g}: the highest is {found[0].mean:.3f}."
            raise RunError(what, "Lower least, or give a share.")
    return [replace(one, chosen=chosen) for one, chosen in zip(found, wanted, strict=True)]


def _link(label: Path, into: Path) -> None:
    """Link or copy a label map and its confidence map."""
    named = f"{image_stem(label)}{CONFIDENCE}"
    for path in (label, *(path for path in label.parent.glob(f"{named}.*") if image_stem(path) == named)):
        link_or_copy(path, into / path.name)


def _write(path: Path, found: Sequence[Agreement]) -> None:
    names = sorted({name for one in found for name in one.by_class})
    with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["case", "agreement", *map(as_cell, names), "chosen"])
        for one in found:
            values = [repr(one.by_class[name]) if name in one.by_class else "" for name in names]
            writer.writerow([as_cell(one.case), repr(one.mean), *values, "yes" if one.chosen else "no"])
