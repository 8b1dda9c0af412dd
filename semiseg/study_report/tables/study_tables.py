"""All tables of a study."""

from collections.abc import Iterator

from semiseg.render.document import Table
from semiseg.study_report.results import StudyResults
from semiseg.study_report.study_metric import StudyMetric, study_metric
from semiseg.study_report.study_pairs import MakePair, make_pair, pairs
from semiseg.study_report.tables.arm_tables import arms_table, totals_table
from semiseg.study_report.tables.compared_table import class_table, compared_table
from semiseg.study_report.tables.control_table import control_table
from semiseg.study_report.tables.published_tables import published_table


def study_tables(results: StudyResults, make: MakePair = make_pair) -> tuple[Table, ...]:
    """Return the tables of each metric of the results, as far as the study has their data.

    By key, where METRIC is the metric's name:

    - ``compared_METRIC``: methods compared with the baseline;
    - ``control_METRIC``: methods compared with their controls, which have no unlabeled cases;
    - ``published_METRIC``: values of the published study named by the results, compared with these;
    - ``totals_METRIC``: methods by their number of unlabeled cases;
    - ``classes_METRIC``: differences of each class and region;
    - ``arms_METRIC``: every arm on its own.

    Raises DataError if runs did not score the same cases.
    """
    metrics = [study_metric(results, name) for name in results.metrics]
    found = (table for metric in metrics for table in _of_metric(results, metric, make))
    return tuple(table for table in found if table is not None)


def arms_tables(results: StudyResults) -> tuple[Table, ...]:
    """Return only the tables ``arms_METRIC``. Raises DataError if the runs of an arm are not comparable."""
    return tuple(arms_table(results, study_metric(results, name)) for name in results.metrics)


def _of_metric(results: StudyResults, metric: StudyMetric, make: MakePair) -> Iterator[Table | None]:
    compared = list(pairs(results, metric, make))
    yield compared_table(results, metric, compared)
    yield control_table(results, metric, make)
    if results.published is not None:
        yield published_table(results, metric, compared, results.published)
    yield totals_table(results, metric, make)
    yield class_table(results, metric, compared)
    yield arms_table(results, metric)
