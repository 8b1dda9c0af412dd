"""The page of a suggestion: which cases, why, and what the networks are unsure of in them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from semiseg.messages import counted, some
from semiseg.render.document import Cell, Page, Picture, Section, Table
from semiseg.suggestion.record import LABELS, SuggestedCase, Suggestion
from semiseg.types import DatasetInfo

_COLORS = ("red", "green", "yellow", "blue", "purple", "cyan")
"""Names of ``semiseg.render.preview.COLORS``."""


@dataclass(frozen=True)
class Drawn:
    """A case's part of the page: its pictures, and the slices to draw in a sentence, which may be empty."""

    pictures: tuple[Picture, ...]
    slices: str


def page_of(
    suggestion: Suggestion, drawn: Mapping[str, Drawn], info: DatasetInfo, about: str, facts: Mapping[str, str]
) -> Page:
    """Return the page; ``about`` is the rule's description, ``facts`` are what it was asked, by title."""
    cases, counts = suggestion.cases, suggestion.counts
    of = counted(counts["cases"], "unlabeled case")
    if counts["patients"] < counts["cases"]:
        of += f" of {counted(counts['patients'], 'patient')}"
    summary = (
        f"{len(cases)} of {of} chosen by {suggestion.rule}: {some([one.case for one in cases], 20)}.",
        f"To label a case, open its proposal with its image, correct it, and save it in the folder {LABELS}"
        f" under the case's name: {LABELS}/{cases[0].case}{_endings(cases)}. Then run semiseg adopt.",
    )
    sections = [
        Section("Cases", (f"The rule: {about}", _colors(info)), (_table(cases),)),
        *(_section(case, drawn[case.case], info) for case in cases),
    ]
    return Page("Cases to label next", summary, tuple(sections), protocol=facts)


def _colors(info: DatasetInfo) -> str:
    named = ", ".join(f"{name} {_COLORS[i % len(_COLORS)]}" for i, name in enumerate(info.classes[1:]))
    return f"In the pictures, pink is what the networks are unsure of, and lines are the proposal's contours: {named}."


def _endings(cases: Sequence[SuggestedCase]) -> str:
    return ".png" if cases[0].proposal.endswith(".png") else ".seg.nrrd or .nii.gz"


def _table(cases: Sequence[SuggestedCase]) -> Table:
    columns = ("case", "patient", "rank", "score", "reason", "slices to draw first")
    rows = tuple(
        (
            Cell(case.case),
            Cell(case.patient),
            Cell(str(case.rank), value=case.rank),
            Cell("" if case.score is None else f"{case.score:.3f}", value=case.score),
            Cell(case.reason),
            Cell(case.slices or "all"),
        )
        for case in cases
    )
    notes = ("The score is the number that the rule decided by; the best comes first.",)
    return Table("suggestions", "Suggested cases", columns, rows, notes, text_columns=2, text_at_end=2)


def _section(case: SuggestedCase, drawn: Drawn, info: DatasetInfo) -> Section:
    reason = f"{case.reason[:1].upper()}{case.reason[1:]}."
    text = [f"Rank {case.rank}, patient {case.patient}. {reason}"]
    if drawn.slices:
        text.append(f"Worth drawing first: {drawn.slices}. {partly(info)}")
    return Section(case.case, tuple(text), pictures=drawn.pictures)


def partly(info: DatasetInfo) -> str:
    """Return how a case is labeled of which only some slices are drawn, in a sentence."""
    if info.ignore is None:
        return (
            "To draw only these, set a value that is ignored in the recipe (dataset.ignore) and give it to the voxels"
            " of all other slices; otherwise every slice counts."
        )
    return f"The voxels of all other slices may have the ignored value, {info.ignore}; otherwise every slice counts."
