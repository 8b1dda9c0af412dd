"""The report of a study: tables and figures as files, and one page that contains them all."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from semiseg.errors import SemisegError
from semiseg.io.atomic import write_json
from semiseg.progress import Reporter
from semiseg.render.document import Figure, Page, Section, Table
from semiseg.render.page import write_page
from semiseg.scoring.score_case import Score
from semiseg.scoring.table import write_scores
from semiseg.study.folder import StudyFolder
from semiseg.study_report.collect import collect, read_tables
from semiseg.study_report.figures.finding_figures import savings_of
from semiseg.study_report.figures.study_figures import study_figures, write_figures
from semiseg.study_report.findings import findings, next_labels
from semiseg.study_report.first_cases import write_first_cases
from semiseg.study_report.overview import overview
from semiseg.study_report.provenance import environment, protocol
from semiseg.study_report.quality import quality_section
from semiseg.study_report.results import StudyResults
from semiseg.study_report.study_controls import controlled
from semiseg.study_report.study_metric import study_metric
from semiseg.study_report.summary_json import numbers, scope
from semiseg.study_report.tables.cross_validation import cross_validation_table
from semiseg.study_report.tables.finding_tables import finding_tables
from semiseg.study_report.tables.published_tables import published_applies
from semiseg.study_report.tables.study_tables import arms_tables, study_tables
from semiseg.study_report.tables.table_formats import write_tables
from semiseg.study_report.text.headlines import headlines
from semiseg.study_report.text.sentences import savings_sentences
from semiseg.study_report.untrained import pair_maker
from semiseg.study_report.worst_cases import all_scores, page_scores, worst_cases_of


@dataclass(frozen=True, slots=True)
class StudyReport:
    """The files of a report, and its sentences."""

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
    """Report a study's finished models: ``report.html``, ``preview.png``, tables, figures, scores.

    They are in ``tables/``, ``figures/``, ``scores.csv`` and ``summary.json``.

    Args:
        study: the study folder.
        output: the folder to write to; ``STUDY/report`` by default.
        checkpoint: last or best; the study recipe's by default. The page also has the tables of arms of the other.
        reporter: receives progress.

    Raises:
        SemisegError: as ``collect`` does; StorageError if writing fails.
    """
    reporter, folder = reporter or Reporter(), StudyFolder(Path(study))
    chosen = checkpoint or str(folder.read()["checkpoint"])
    target = folder.report if output is None else Path(output)
    with reporter.work("reporting", 5) as meter:
        scores = read_tables(folder)
        results = collect(folder, chosen, scores)
        metric = study_metric(results, results.metrics[0])
        make = pair_maker(results)  # tables, findings and sentences share pairs
        found, following = findings(results, metric, make), next_labels(results, metric)
        controls = controlled(results, metric, make)
        meter.advance()
        tables, of_findings = study_tables(results, make), finding_tables(results, found, following, metric)
        validated = cross_validation_table(results)
        tables = tables if validated is None else (*tables, validated)
        others = _others(folder, chosen, scores)
        meter.advance()
        figures, savings = study_figures(results), savings_of(results, found, metric)
        meter.advance()
        said = headlines(results, found, metric, chosen, make)
        top = overview(results, found, controls, metric)
        drawn = (*savings, *figures)
        quality = tuple(filter(None, [quality_section(results)]))
        cases, unseen = worst_cases_of(folder, results, metric)
        shown, cut = page_scores(results)
        page = Page(
            title=f"{results.name}: {', '.join(results.methods) or 'nothing'} compared with {results.baseline}",
            summary=said,
            sections=(
                *_sections(tables, of_findings, others, drawn[1:], savings_sentences(found, results.baseline)),
                *quality,
            ),
            scores=shown,
            cases=cases.cases,
            classes=cases.classes,
            protocol={**protocol(folder, results, chosen), **_notes(results, (*unseen, *cut))},
            environment=environment(folder, results),
            answer=top.answer,
            cards=top.cards,
            first=Section("", (), tuple(filter(None, [top.table])), drawn[:1]),
        )
        meter.advance()
        expected_tables = [table for section in quality for table in section.tables]
        expected_figures = [figure for section in quality for figure in section.figures]
        written = _write(
            target,
            page,
            (*page.first.tables, *tables, *of_findings, *others, *expected_tables),
            (*drawn, *expected_figures),
        )
        write_scores(target / "scores.csv", all_scores(folder, scores))
        if note := write_first_cases(target / "preview.png", results):
            reporter.say(f"Note: {note}")
        data = scope(results, metric, chosen, said) | numbers(found, controls, following, metric)
        write_json(target / "summary.json", data)
        meter.advance()
    return replace(written, summary=said)


def _write(target: Path, page: Page, tables: Sequence[Table], figures: Sequence[Figure]) -> StudyReport:
    tables_written = write_tables(target / "tables", tables)
    figures_written = write_figures(target / "figures", figures)
    _remove_others(target, {*tables_written, *figures_written})
    write_page(target / "report.html", page)
    return StudyReport(target / "report.html", tables_written, figures_written, ())


def _remove_others(target: Path, written: Collection[Path]) -> None:
    """Remove tables and figures of an earlier report, which could be mistaken for this one's."""
    for kind, endings in (("tables", ("txt", "csv", "md", "tex")), ("figures", ("svg", "png"))):
        for ending in endings:
            for path in (target / kind).glob(f"*.{ending}"):
                if path not in written:
                    path.unlink()


def _others(folder: StudyFolder, chosen: str, scores: Mapping[str, Sequence[Score]]) -> tuple[Table, ...]:
    """Return the tables of arms with the other weights; empty if the runs have none."""
    other = "best" if chosen == "last" else "last"
    try:
        found = arms_tables(collect(folder, other, scores))
    except SemisegError:
        return ()
    return tuple(replace(table, key=f"{table.key}_{other}", title=f"{table.title}, {other} weights") for table in found)


def _sections(
    tables: Sequence[Table],
    of_findings: Sequence[Table],
    others: Sequence[Table],
    figures: Sequence[Figure],
    saved: tuple[str, ...],
) -> tuple[Section, ...]:
    def having(found: Sequence[Table], *keys: str) -> tuple[Table, ...]:
        return tuple(table for table in found if table.key.startswith(keys))

    def drawn(*keys: str) -> tuple[Figure, ...]:
        return tuple(figure for figure in figures if figure.key.startswith(keys))

    return (
        Section(
            "Methods compared with the baseline",
            (),
            having(tables, "compared_", "published_"),
            drawn("curves_", "paired_"),
        ),
        Section("Methods compared with their controls", (), having(tables, "control_")),
        Section("Label savings", saved, having(of_findings, "label_savings", "gap_closed"), drawn("savings")),
        Section("Number of unlabeled cases", (), having(tables, "totals_"), drawn("totals_")),
        Section("Cross-validation", (), having(tables, "cross_validation")),
        Section("Training", (), (), drawn("training")),
        Section("Planning the next study", (), having(of_findings, "next_labels", "power")),
        Section("Every class and arm", (), (*having(tables, "classes_", "arms_"), *others)),
    )


def _notes(results: StudyResults, notes: Sequence[str]) -> dict[str, str]:
    reason = published_applies(results, results.published) if results.published else ""
    said = [*notes, *([reason] if reason else [])]
    return {"notes": " ".join(said)} if said else {}
