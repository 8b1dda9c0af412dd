"""The dataset of a recipe as a raw dataset of nnU-Net v2."""

import re
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from semiseg.data.verify import problems_of
from semiseg.errors import ArgumentError, DataError, Problem, StorageError, raise_all
from semiseg.export.new_folder import require_empty
from semiseg.export.nnunet_files import Files, file_ending
from semiseg.export.nnunet_folds import Folds, nnunet_folds
from semiseg.export.nnunet_labels import Labels, nnunet_labels
from semiseg.io.atomic import make_folder, write_json
from semiseg.messages import counted
from semiseg.pipeline.plan import Plan, make_plan
from semiseg.preprocessing.normalization import methods_of
from semiseg.progress import Reporter
from semiseg.recipe.schema import Recipe

_FOLDER = re.compile(r"Dataset(\d{3})_([A-Za-z0-9_-]+)")
_ID = 501
_ABOUT = (
    "Written by `semiseg export nnunet`. imagesTr: the labeled and validation cases, whose split is"
    " fold 0 of splits_final.json. imagesTs and labelsTs: the test cases, not for training. imagesUn: the unlabeled"
    " cases, which nnU-Net does not read."
)


def export_dataset(
    recipe: Recipe,
    output: Path,
    *,
    number: int | None = None,
    name: str | None = None,
    link: bool = False,
    reporter: Reporter | None = None,
) -> Path:
    """Write a recipe's dataset as nnU-Net reads it, and return its folder, such as ``output/Dataset501_NAME``.

    The labeled and validation cases are in imagesTr and labelsTr, the test cases in imagesTs and labelsTs, and the
    unlabeled cases, without labels, in imagesUn. The folds of splits_final.json begin with the recipe's split. Label
    values are 0, 1, 2 … by class, and the next one for ignored voxels. dataset.json is written last: a folder without
    it is not complete.

    Args:
        recipe: a loaded recipe; its ``training.outputs`` decides between classes and regions.
        output: the folder nnUNet_raw, or a new folder DatasetXXX_NAME.
        number: XXX, from 1 to 999; 501 by default.
        name: NAME; the recipe's by default.
        link: link files that can stay as they are, instead of copying them.
        reporter: receives progress.

    Raises:
        ArgumentError: an invalid number or name.
        StorageError: the folder exists and is not empty, another dataset has its number, or the disk refuses.
        DataError: with all problems of the cases; then nothing is left in the folder.
    """
    reporter = reporter or Reporter()
    home = _home(output, number, name, recipe.name)
    plan = make_plan(recipe, on_this_machine=False)
    labels = nnunet_labels(plan.info, plan.task.regions)
    make_folder(home)
    try:
        files = _write_cases(plan, labels, home, link, reporter)
        folds = nnunet_folds(plan.split)
        if folds:
            write_json(home / "splits_final.json", folds)
        write_json(home / "dataset.json", manifest(plan, labels))
    except BaseException:
        shutil.rmtree(home, ignore_errors=True)
        raise
    for note in (*plan.components.dataset.notes(), *labels.notes, *_notes(plan, files, folds)):
        reporter.say(f"Note: {note}.")
    return home


def manifest(plan: Plan, labels: Labels) -> dict[str, Any]:
    """Return the content of dataset.json."""
    split = plan.split
    return {
        "channel_names": dict(channel_names(plan)),
        **labels.manifest,
        "numTraining": len(split.labeled) + len(split.validation),
        "file_ending": file_ending(plan.components.dataset.read_geometry(split.labeled[0]).unit),
        "name": plan.recipe.name,
        "description": _ABOUT,
    }


def channel_names(plan: Plan) -> Iterator[tuple[str, str]]:
    """Yield the number and name of each channel: CT if it is normalized as such, which nnU-Net does by that name."""
    methods = methods_of(plan.recipe.preprocessing, plan.info.modalities)
    for index, (name, method) in enumerate(zip(plan.info.modalities, methods, strict=True)):
        yield str(index), "CT" if method == "ct" else name


def _home(output: Path, number: int | None, name: str | None, recipe_name: str) -> Path:
    """Return the folder to write. Raises ArgumentError or StorageError if it cannot be."""
    if number is not None and not 1 <= number <= 999:
        raise ArgumentError(f"The number of an nnU-Net dataset is {number}.", "Choose one from 1 to 999 with --id.")
    if match := _FOLDER.fullmatch(output.name):
        if number not in {None, int(match[1])} or name not in {None, match[2]}:
            what = f"{output.name} already has a number and a name, which --id and --name contradict."
            raise ArgumentError(what, "Leave them out, or give the folder nnUNet_raw as --output.")
        home = output
    else:
        said = re.sub(r"[^A-Za-z0-9_-]+", "_", recipe_name).strip("_") if name is None else name
        home = output / f"Dataset{_ID if number is None else number:03d}_{said}"
        if not _FOLDER.fullmatch(home.name):
            what = f"{said!r} cannot be the name of an nnU-Net dataset."
            raise ArgumentError(what, "Give one of letters, digits, _ and - with --name.")
    others = sorted(path.name for path in home.parent.glob(f"{home.name[:10]}*") if path.name != home.name)
    if others:
        what = f"{home.parent} has another dataset of this number, {others[0]}, and nnU-Net refuses two."
        raise StorageError(what, "Choose another number with --id.")
    require_empty(home)
    return home


def _write_cases(plan: Plan, labels: Labels, home: Path, link: bool, reporter: Reporter) -> Files:
    split, problems = plan.split, list[Problem]()
    files = Files(plan.components.dataset, labels, link)
    parts = [("Tr", (*split.labeled, *split.validation)), ("Ts", split.test), ("Un", split.unlabeled)]
    for part in ("imagesTr", "labelsTr"):
        make_folder(home / part)
    with reporter.work("writing cases", sum(len(cases) for _, cases in parts), unit="case") as meter:
        for part, cases in parts:
            for case in cases:
                problems += problems_of(case, partial(files.image, case, home / f"images{part}"))
                if case.label is not None:
                    problems += problems_of(case, partial(files.label, case, home / f"labels{part}"))
                meter.advance()
    raise_all(list(dict.fromkeys(problems)), DataError)
    return files


def _notes(plan: Plan, files: Files, folds: Folds) -> Iterator[str]:
    split, names = plan.split, plan.info.modalities
    methods = dict(zip(names, methods_of(plan.recipe.preprocessing, names), strict=True))
    if renamed := [name for name in names if methods[name] == "ct" and name != "CT"]:
        yield f"{', '.join(renamed)}: named CT, the name by which nnU-Net normalizes as here"
    if alike := [name for name in names if methods[name] != "ct" and name.lower() == "ct"]:
        yield f"{', '.join(alike)}: nnU-Net normalizes it as CT, by its name; this recipe does not"
    if split.test:
        labels = "; labels in labelsTs" if any(case.label for case in split.test) else ""
        yield f"imagesTs: {counted(len(split.test), 'test case')}{labels}"
    if split.unlabeled:
        cases = counted(len(split.unlabeled), "unlabeled case")
        yield f"imagesUn: {cases}, which semiseg reads as unlabeled cases and nnU-Net ignores"
    if not folds:
        yield "there is no splits_final.json: one patient cannot be divided into folds"
    elif not split.validation:
        yield "the recipe has no validation cases: the folds divide the labeled cases"
    else:
        more = f"; folds 1 to {len(folds) - 1} divide the labeled cases" if len(folds) > 2 else ""
        yield f"fold 0 of splits_final.json is the recipe's split into labeled and validation cases{more}"
    if files.unscaled:
        yield f"{counted(files.unscaled, 'image')} without a voxel size in mm: nnU-Net takes voxels of 1 x 1 x 1 mm"
    if files.link and files.written:
        yield (
            f"{files.linked:,} files are links, {files.written:,} are not: files are written if they are not .nii.gz"
            " with one channel, or if label values or grids have to change"
        )
