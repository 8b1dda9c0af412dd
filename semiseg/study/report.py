"""A study's report: tables and figures as files, and one page that holds them all."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from semiseg.evaluation.table import write_scores
from semiseg.io.atomic import write_json
from semiseg.progress import Reporter
from semiseg.report.arms import StudyResults
from semiseg.report.document import Figure, Page, Section, Table
from semiseg.report.page import write_page
from semiseg.report.study_figures import study_figures, write_figures
from semiseg.report.study_metric import StudyMetric, study_metric
from semiseg.report.study_tables import study_tables
from semiseg.report.table_formats import write_tables
from semiseg.study.about import environment, protocol
from semiseg.study.answer_tables import answer_tables, savings_figures
from semiseg.study.answers import Answers, NextLabels, answers, next_labels, record
from semiseg.study.collect import collect
from semiseg.study.folder import StudyFolder
from semiseg.study.sentences import sentences
from semiseg.study.worst import all_scores, page_scores, worst_cases_of

_DETAILS = ("classes_", "arms_")


@dataclass(frozen=True, slots=True)
class StudyReport:
    """What was written, and what it says in sentences."""

    page: Path
    tables: tuple[Path, ...]
    figures: tuple[Path, ...]
    summary: tuple[str, ...]


def report_study(
    study: str | Path,
    output: str | Path | None = None,
    *,
    checkpoint: str | None = None,
    reporter: Reporter | None = None,
) -> StudyReport:
    """Report a study's finished models: ``report.html``, ``tables/``, ``figures/``, ``scores.csv``, ``summary.json``.

    Args:
        study: the study folder.
        output: where to write; ``STUDY/report`` by default.
        checkpoint: last or best; the study recipe's by default. The other's tables of arms are on the page too.
        reporter: who hears of progress, and of models without scores.

    Raises:
        SemisegError: as ``collect`` does; StorageError where the disk refuses.
    """
    reporter, folder = reporter or Reporter(), StudyFolder(Path(study))
    chosen = checkpoint or str(folder.read()["checkpoint"])
    target = folder.report if output is None else Path(output)
    with reporter.work("reporting", 5) as meter:
        results = collect(folder, chosen)
        metric = study_metric(results, results.metrics[0])
        found, following = answers(results, metric), next_labels(results, metric)
        meter.advance()
        tables, answered = study_tables(results), answer_tables(found, following, metric, results.baseline)
        others = _others(folder, chosen)
        meter.advance()
        figures, savings = study_figures(results), savings_figures(results, found, metric)
        meter.advance()
        said = sentences(results, found, metric, chosen)
        cases, notes = worst_cases_of(folder, results, metric)
        page = Page(
            title=f"Study {results.name}",
            summary=(*said, *notes),
            sections=_sections(tables, answered, others, figures, savings),
            scores=page_scores(results),
            cases=cases.cases,
            classes=cases.classes,
            protocol=protocol(folder, results, chosen),
            environment=environment(folder, results),
        )
        meter.advance()
        written = _write(target, folder, page, (*tables, *answered, *others), (*savings, *figures))
        write_json(target / "summary.json", _record(results, found, following, metric, chosen, said))
        meter.advance()
    return replace(written, summary=said)


def _write(
    target: Path, folder: StudyFolder, page: Page, tables: Sequence[Table], figures: Sequence[Figure]
) -> StudyReport:
    tables_written = write_tables(target / "tables", tables)
    figures_written = write_figures(target / "figures", figures)
    write_scores(target / "scores.csv", all_scores(folder))
    write_page(target / "report.html", page)
    return StudyReport(target / "report.html", tables_written, figures_written, ())


def _others(folder: StudyFolder, chosen: str) -> tuple[Table, ...]:
    """The tables of arms with the other weights; nothing where the runs have none."""
    other = "best" if chosen == "last" else "last"
    found = study_tables(collect(folder, other))
    return tuple(
        replace(table, key=f"{table.key}_{other}", title=f"{table.title}, {other} weights")
        for table in found
        if table.key.startswith("arms_")
    )


def _sections(
    tables: Sequence[Table],
    answered: Sequence[Table],
    others: Sequence[Table],
    figures: Sequence[Figure],
    savings: Sequence[Figure],
) -> tuple[Section, ...]:
    compared = tuple(table for table in tables if not table.key.startswith(_DETAILS))
    details = tuple(table for table in tables if table.key.startswith(_DETAILS))
    curves = tuple(figure for figure in figures if figure.key != "training")
    training = tuple(figure for figure in figures if figure.key == "training")
    return (
        Section("What unlabeled cases are worth", tables=tuple(answered), figures=tuple(savings)),
        Section("Methods beside the baseline", tables=compared, figures=curves),
        Section("Training", figures=training),
        Section("Every arm and class", tables=(*details, *others)),
    )


def _record(
    results: StudyResults,
    found: Sequence[Answers],
    following: Sequence[NextLabels],
    metric: StudyMetric,
    checkpoint: str,
    said: Sequence[str],
) -> dict[str, object]:
    return {
        "name": results.name,
        "baseline": results.baseline,
        "checkpoint": checkpoint,
        "metric": metric.name,
        "unit": metric.unit,
        "missing": list(results.missing),
        "sentences": list(said),
        **record(found, following),
    }
