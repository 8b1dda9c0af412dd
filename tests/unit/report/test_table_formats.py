"""Tables as files: what is in a cell comes out, whatever it holds."""

import csv
import io
import re

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from semiseg.report.document import Cell, Table
from semiseg.report.table_formats import as_csv, write_tables
from semiseg.report.table_markup import as_latex, as_markdown, latex_escape, markdown_escape
from semiseg.report.table_text import as_rich, as_text


def table(*rows, columns=("setting", "Dice", "p"), **more):
    return Table("key", "A title", columns, tuple(rows), **more)


PLAIN = table(
    (Cell("unetr"), Cell("0.640/0.670", value=0.67), Cell("<0.001", value=1.5e-5)),
    (Cell("unetr"), Cell("+4.2", bold=True, value=4.23456), Cell("–")),
    (Cell("unet"), Cell("12", value=12), Cell("0.020", value=0.02)),
    notes=("n: cases.",),
)


def test_text_is_aligned_in_blocks():
    assert as_text(PLAIN) == (
        "A title\n"
        "\n"
        "setting           Dice       p\n"
        "-------  -------------  ------\n"
        "unetr     0.640/0.670   <0.001\n"
        "                *+4.2*       –\n"
        "\n"
        "unet               12    0.020\n"
        "\n"
        "n: cases.\n"
    )


def test_long_titles_are_broken_between_words():
    text = as_text(table((Cell("a"), Cell("1"), Cell("2")), columns=("setting", "mean of classes", "p")))
    assert text.splitlines()[2:] == [
        "         mean of",
        "setting  classes  p",
        "-------  -------  -",
        "a              1  2",
    ]


def test_csv_has_numbers_in_full():
    assert list(csv.reader(io.StringIO(as_csv(PLAIN)))) == [
        ["setting", "Dice", "p"],
        ["unetr", "0.640/0.670", "1.5e-05"],
        ["unetr", "4.23456", ""],
        ["unet", "12", "0.02"],
    ]


def test_markdown():
    lines = as_markdown(PLAIN).splitlines()
    assert lines[:4] == ["**A title**", "", "| setting | Dice | p |", "| :-- | --: | --: |"]
    assert lines[5] == "| unetr | **+4.2** | – |"
    assert lines[-1] == "- n: cases."


def test_latex():
    lines = as_latex(PLAIN).splitlines()
    body = lines[lines.index(r"\midrule") + 1 : lines.index(r"\bottomrule")]
    assert r"\begin{tabular}{lrr}" in lines
    assert body == [
        r"unetr & 0.640/0.670 & \textless{}0.001 \\",
        r" & \textbf{+4.2} & \textendash{} \\",
        r"\addlinespace",
        r"unet & 12 & 0.020 \\",
    ]


def test_the_terminal_shows_brackets_as_they_are():
    console = Console(width=60, record=True, file=io.StringIO())
    console.print(as_rich(table((Cell("[red]"), Cell("1"), Cell("2", bold=True)), notes=("[b] is a note",))))
    shown = console.export_text()
    assert "[red]" in shown
    assert "[b] is a note" in shown


@given(st.text())
def test_latex_text_can_be_read_back(text):
    """Outside of the commands that escapes are made of, no character has a meaning; and each escape is another."""
    named = {"backslash": "\\", "asciitilde": "~", "asciicircum": "^", "less": "<", "greater": ">", "bar": "|"}
    named |= {"quotedbl": '"', "endash": "–"}
    token = re.compile(
        r"\\text(\w+)\{\}|\\ensuremath\{(\\pm)\}|\\([&%$#_{}])|\{([\[\]*\-`'])\}|([^\\{}&%$#_~^\[\]*\-`'])"
    )
    escaped, read = latex_escape(text), ""
    for match in token.finditer(escaped):
        read += named.get(match[1], "") + ("±" if match[2] else "") + (match[3] or match[4] or match[5] or "")
    assert "".join(match[0] for match in token.finditer(escaped)) == escaped
    assert read == " ".join(text.split())


@given(st.text())
def test_markdown_text_stays_in_its_cell(text):
    escaped = markdown_escape(text)
    assert not re.search(r"(?<!\\)(\\\\)*[|*_`<>\[\]$~]", escaped)
    assert re.sub(r"\\(.)", r"\1", escaped) == " ".join(text.split())


def test_files_of_every_format(tmp_path):
    paths = write_tables(tmp_path / "new", [PLAIN])
    assert [path.name for path in paths] == ["key.txt", "key.csv", "key.md", "key.tex"]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(path.name for path in paths)
    assert paths[0].read_text(encoding="utf-8") == as_text(PLAIN)
