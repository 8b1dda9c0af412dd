"""Evaluation of a folder of predictions, from any source, against a folder of references."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from numpy.typing import NDArray

from semiseg.errors import DataError, Problem, raise_all
from semiseg.interfaces.metric import Metric
from semiseg.io.atomic import write_json
from semiseg.io.formats.segments import on_grid, read_segments
from semiseg.io.labels import read_stored_label
from semiseg.io.names import is_slicer
from semiseg.io.volumes import NEGATIVE
from semiseg.messages import some
from semiseg.progress import Reporter
from semiseg.scoring.labels import LabelMap, Labels, as_integers, stored_values
from semiseg.scoring.matching import find_both, label_notes
from semiseg.scoring.metric_choice import Metrics, choose_metrics
from semiseg.scoring.parallel import map_cases
from semiseg.scoring.policy import find_policy
from semiseg.scoring.presets import find_preset
from semiseg.scoring.score_case import Score, find_regions, score_case
from semiseg.scoring.scores import Scores
from semiseg.scoring.show import summary_table
from semiseg.scoring.summary import summarize
from semiseg.scoring.table import write_scores
from semiseg.tabular import as_html
from semiseg.types import Geometry, Volume

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Result of ``evaluate``: scores, their summary, and the files without a counterpart."""

    scores: Scores
    summary: Mapping[str, Any] = field(repr=False)
    unmatched_predictions: tuple[Path, ...]
    unmatched_references: tuple[Path, ...]

    def to_dataframe(self) -> Any:
        """Return the scores as a pandas.DataFrame, a row each. Raises ComponentError without pandas."""
        return self.scores.to_dataframe()

    def _repr_html_(self) -> str:
        """Return the summary as a table for a notebook."""
        return as_html([summary_table(self.summary)])


@dataclass(frozen=True, slots=True)
class _Files:
    case: str
    prediction: Path
    reference: Path


def evaluate(
    predictions: Path | str,
    references: Path | str,
    *,
    labels: Labels | None = None,
    regions: Mapping[str, Sequence[str]] | None = None,
    output: Path | str | None = None,
    metrics: Metrics | None = None,
    preset: str | None = None,
    policy: str | None = None,
    workers: int | None = None,
    reporter: Reporter | None = None,
) -> Evaluation:
    """Score the label files (NIfTI or pictures) in one folder against those in another, by case id; or a pair of files.

    Args:
        predictions: a folder of label files, named as in BraTS, nnU-Net or Decathlon (see ``find_labels``); or a file.
        references: likewise.
        labels: the name of each stored value except 0. Values with the same name form one class ({3: "enhancing", 4:
            "enhancing"}); those named background are background, and voxels of the references with a value named ignore
            are left out. Unnamed values are refused, or background with {"other": "background"}. Without ``labels``
            every value in a reference is a class, named by its number.
        regions: unions of classes to score in addition, by name: {"tumor core": ["necrosis", "enhancing"]}.
        output: a folder for scores.csv and summary.json.
        metrics: installed metrics, each as ``NAME`` or ``NAME:OPTION=VALUE,…``, or a mapping from title to installed
            name, class or object; Dice and HD95 by default.
        preset: another tool's conventions (see ``PRESETS``): its definitions, its values for empty masks, and, if
            fixed by the tool, its labels and regions.
        policy: the value of empty masks in the means (see ``POLICIES``); by default the preset's, or
            "image_diagonal".
        workers: number of cases at a time; all available cores if None.
        reporter: receives progress.

    Raises DataError, with the problems of all cases at once: no case in both folders, a damaged file, values without
    a class, files of one case on different grids (see ``Geometry.difference``).
    """
    tool = None if preset is None else find_preset(preset)
    if tool is not None:
        labels, regions, policy = labels or tool.labels, regions or tool.regions, policy or tool.policy
    policy = policy or "image_diagonal"
    find_policy(policy)
    chosen = choose_metrics(metrics, tool)
    found = find_both(Path(predictions), Path(references))
    cases = _matched(*found, (predictions, references))
    reporter = reporter or Reporter()
    for note in (*label_notes(Path(predictions)), *label_notes(Path(references))):
        reporter.say(f"Note: {note}.")
    if labels is None:
        labels = _found_labels(cases, workers, reporter)
    label_map = LabelMap.of(labels)
    find_regions(regions or {}, label_map.classes)
    with reporter.work("scoring", len(cases), unit="case") as meter:
        rows = map_cases(lambda files: _score(files, label_map, regions, chosen), cases, workers, meter.advance)
    scores = Scores(score for row in rows for score in row)
    unmatched = [
        tuple(path for case, path in side.items() if case not in other) for side, other in (found, found[::-1])
    ]
    return _finish(Evaluation(scores, {}, *unmatched), policy, chosen, output, preset)


def _finish(
    evaluation: Evaluation,
    policy: str,
    metrics: Mapping[str, Metric],
    output: Path | str | None,
    preset: str | None,
) -> Evaluation:
    """Add the summary and write both. The scores are written first, so that they exist even if the summary fails."""
    if output is not None:
        write_scores(Path(output) / "scores.csv", evaluation.scores)
    lower_is_better = [name for name, metric in metrics.items() if not metric.higher_is_better]
    summary = summarize(evaluation.scores, policy, lower_is_better=lower_is_better)
    summary["preset"] = preset
    summary["unmatched_predictions"] = [str(path) for path in evaluation.unmatched_predictions]
    summary["unmatched_references"] = [str(path) for path in evaluation.unmatched_references]
    if output is not None:
        write_json(Path(output) / "summary.json", summary)
    return replace(evaluation, summary=summary)


def _matched(
    predictions: Mapping[str, Path], references: Mapping[str, Path], folders: tuple[Path | str, Path | str]
) -> list[_Files]:
    cases = [_Files(case, path, references[case]) for case, path in predictions.items() if case in references]
    if not cases:
        held = [
            f"{folder} contains {', '.join(list(side)[:3])}{'…' if len(side) > 3 else ''}"
            for folder, side in zip(folders, (predictions, references), strict=True)
        ]
        raise DataError(
            f"No case is in both folders: {held[0]}; {held[1]}.",
            "Cases are matched by name: CASE.nii.gz, CASE_seg.nii.gz, or a folder CASE with one label file.",
        )
    return cases


def labels_in(paths: Sequence[Path], workers: int | None, reporter: Reporter) -> dict[int, str]:
    """Return a class for every value of some label files, named by its number. Raises DataError with all problems."""
    with reporter.work("finding labels", len(paths), unit="case") as meter:
        return _numbered(map_cases(_values, paths, workers, meter.advance))


def _found_labels(cases: Sequence[_Files], workers: int | None, reporter: Reporter) -> dict[int, str]:
    """Return a class for every value of the references. Raises DataError with all problems of all files."""
    try:
        return labels_in([files.reference for files in cases], workers, reporter)
    except DataError as error:
        problems = error.problems
    # Nothing will be scored, so check now for the problems that scoring would find.
    try:
        with reporter.work("checking files", len(cases), unit="case") as meter:
            map_cases(_check_pair, cases, workers, meter.advance)
    except DataError as error:
        problems = tuple(dict.fromkeys([*error.problems, *problems]))
    raise DataError(problems)


def _numbered(found: Sequence[set[int]]) -> dict[int, str]:
    values = sorted(set().union(*found) - {0})
    if not values:
        raise DataError("The references contain only background: there is no class to score.", "Name the labels.")
    return {value: str(value) for value in values}


def _values(path: Path) -> set[int]:
    if is_slicer(path) and (segments := read_segments(path)):
        names = ",".join(f"{value}={one.name}" for value, one in enumerate(segments, 1))
        what = "its segments have names, and their values may differ between files"
        raise DataError(Problem(str(path), what, f"Name the values: --labels {names!r}, as in the other files."))
    values = _about(path, lambda array: stored_values(as_integers(array)), _read(path)[0])
    if negative := sorted(value for value in values if value < 0):
        raise DataError(Problem(str(path), f"it has values below 0: {some(list(map(str, negative)), 3)}", NEGATIVE))
    return values


def _score(
    files: _Files, label_map: LabelMap, regions: Mapping[str, Sequence[str]] | None, metrics: Mapping[str, Metric]
) -> list[Score]:
    truth, predicted, geometry = _read_pair(files, label_map.to_indices, label_map)
    return score_case(
        truth,
        predicted,
        geometry,
        label_map.classes,
        metrics,
        case=files.case,
        regions=regions,
        has_ignored=label_map.has_ignored,
    )


def _read_pair(
    files: _Files, convert: Callable[[NDArray[Any]], NDArray[Any]], label_map: LabelMap | None = None
) -> tuple[NDArray[Any], NDArray[Any], Geometry]:
    """Return reference, prediction and their grid. Raises DataError with all problems of the two."""
    arrays, grids, problems = list[NDArray[Any]](), list[Geometry](), list[Problem]()
    for path in (files.reference, files.prediction):
        try:
            array, geometry = _read(path, label_map)
            grids.append(geometry)
            arrays.append(_about(path, convert, array))
        except DataError as error:
            problems += error.problems
    for one, path in enumerate((files.reference, files.prediction)):
        if len(arrays) == 2 and is_slicer(path):
            placed = on_grid(path, Volume(arrays[one], grids[one]), grids[1 - one])
            arrays[one], grids[one] = placed.array, placed.geometry
    difference = grids[0].difference(grids[1]) if len(grids) == 2 else ""
    if difference:
        what = f"{files.reference} and {files.prediction} are on different grids: {difference}"
        fix = "Predict on the grid of the reference, or resample the prediction to it (nearest neighbor)."
        problems.append(Problem(f"case {files.case}", what, fix))
    raise_all(problems, DataError)
    return arrays[0], arrays[1], grids[0]


def _check_pair(files: _Files) -> None:
    _read_pair(files, as_integers)


def _read(path: Path, label_map: LabelMap | None = None) -> tuple[NDArray[Any], Geometry]:
    values: dict[str, int] | None = None
    if label_map is not None and is_slicer(path):
        others = [segment.name for segment in read_segments(path)] if label_map.rest else []
        values = {**dict.fromkeys(others, 0), **label_map.names}
    array, geometry = read_stored_label(path, values)
    if array.shape != geometry.shape:
        raise DataError(
            Problem(
                str(path), f"a label must have three dimensions, not shape {array.shape}", "Store one value per voxel."
            )
        )
    return array, geometry


def _about(path: Path, function: Callable[[NDArray[Any]], T], array: NDArray[Any]) -> T:
    """Apply the function to a file's voxels; its problems name the file."""
    try:
        return function(array)
    except DataError as error:
        raise DataError([replace(problem, where=str(path)) for problem in error.problems]) from error
