"""A table as Markdown and as LaTeX, with all texts escaped."""

import re

from semiseg.render.document import Cell, Table
from semiseg.render.table_blocks import blocks, side

_MARKDOWN = re.compile(r"[\\`*_\[\]<>|~$]")
_MINUS = re.compile(r"(?<![\w.])\{-\}(?=\d)")  # in escaped text
_MOST_COLUMNS = 9
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "–": r"\textendash{}",
    "±": r"\ensuremath{\pm}",
    # In braces: after the end of a row, \\[ and \\* have a special meaning, and two of - or ` or ' form another
    # character.
    **{character: f"{{{character}}}" for character in "[]*-`'"},
}


def as_markdown(table: Table) -> str:
    """Return a GitHub Markdown table below its title, with notes as a list and texts escaped."""
    head = [markdown_escape(title) for title in table.columns]
    rule = [":--" if side(table, index) == "left" else "--:" for index in range(len(head))]
    rows = [[_marked(markdown_escape(cell.text), cell, "**", "**") for cell in row] for row in table.rows]
    lines = [f"| {' | '.join(row)} |" for row in (head, rule, *rows)]
    notes = [f"- {markdown_escape(note)}" for note in table.notes]
    return "\n".join([f"**{markdown_escape(table.title)}**", "", *lines, *([""] if notes else []), *notes]) + "\n"


def as_latex(table: Table) -> str:
    """Return a booktabs table that requires the packages booktabs and fontenc (T1), with notes below in small print.

    A table of more than nine columns is scaled to the text width, which requires the package graphicx.
    """
    columns = "".join(map(_column, [table] * len(table.columns), range(len(table.columns))))
    lines = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", _row([latex_escape(title) for title in table.columns])]
    lines.append(r"\midrule")
    for begins, row in blocks(table):
        lines += [r"\addlinespace"] if begins else []
        lines.append(_row([_marked(_latex_cell(cell), cell, r"\textbf{", "}") for cell in row]))
    lines += [r"\bottomrule", r"\end{tabular}"]
    if len(table.columns) > _MOST_COLUMNS:
        # Scaling starts from the font size: narrower tables keep larger letters.
        lines = [r"\footnotesize", r"\setlength{\tabcolsep}{3pt}", r"\resizebox{\textwidth}{!}{%", *lines, "}"]
    notes = [rf"\par {latex_escape(note)}" for note in table.notes]
    if notes:
        notes = ["", r"\smallskip", r"{\footnotesize", *notes, r"\par}"]
    caption = rf"\caption{{{latex_escape(table.title)}}}"
    label = rf"\label{{tab:{table.key}}}"
    return "\n".join([r"\begin{table}", r"\centering", caption, label, *lines, *notes, r"\end{table}"]) + "\n"


def markdown_escape(text: str) -> str:
    """Escape text for Markdown, on one line."""
    return _MARKDOWN.sub(r"\\\g<0>", _one_line(text))


def latex_escape(text: str) -> str:
    """Escape text for LaTeX, on one line."""
    return "".join(_LATEX.get(character, character) for character in _one_line(text))


def _column(table: Table, index: int) -> str:
    if table.columns[index] == "note":
        return "p{4cm}"
    return side(table, index)[0]


def _latex_cell(cell: Cell) -> str:
    """Return a cell's text, with a minus sign instead of a hyphen in negative numbers."""
    text = latex_escape(cell.text)
    return text if cell.value is None and not cell.parts else _MINUS.sub("$-$", text)


def _row(texts: list[str]) -> str:
    return " & ".join(texts) + r" \\"


def _marked(text: str, cell: Cell, before: str, after: str) -> str:
    return f"{before}{text}{after}" if cell.bold and text else text


def _one_line(text: str) -> str:
    return " ".join(text.split())
