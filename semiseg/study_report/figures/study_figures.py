"""All figures of a study, and their files."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from semiseg.io.atomic import atomic_file
from semiseg.render.document import Figure
from semiseg.study_report.figures.curves import curves_figure
from semiseg.study_report.figures.paired import paired_figure
from semiseg.study_report.figures.totals import totals_figure
from semiseg.study_report.figures.training import training_figure
from semiseg.study_report.results import StudyResults
from semiseg.study_report.study_metric import study_metric


def study_figures(results: StudyResults) -> tuple[Figure, ...]:
    """Return the figures for which the study has data.

    By key, where METRIC is each metric's name:

    - ``curves_METRIC``: by number of labeled cases;
    - ``paired_METRIC``: every test case, for the first metric;
    - ``training``: losses and validation Dice by epoch;
    - ``totals_METRIC``: by total number of cases.

    ``savings_figure`` draws the labels saved by a method. Raises DataError if runs did not score the same cases.
    """
    return tuple(figure for figure in _figures(results) if figure is not None)


def write_figures(folder: Path, figures: Iterable[Figure]) -> tuple[Path, ...]:
    """Write KEY.svg and KEY.png of each figure, each atomically, and return their paths.

    Raises StorageError if the disk is full.
    """
    paths = []
    for figure in figures:
        for ending, content in (("svg", figure.svg), ("png", figure.png())):
            path = folder / f"{figure.key}.{ending}"
            with atomic_file(path) as temporary:
                temporary.write_bytes(content)
            paths.append(path)
    return tuple(paths)


def _figures(results: StudyResults) -> Iterator[Figure | None]:
    metrics = [study_metric(results, name) for name in results.metrics]
    yield from (curves_figure(results, metric) for metric in metrics)
    yield paired_figure(results, metrics[0]) if metrics else None
    yield training_figure(results)
    yield from (totals_figure(results, metric) for metric in metrics)
