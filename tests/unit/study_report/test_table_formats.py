"""Tables as files: what is in a cell comes out, whatever it holds."""

import csv
import io
import re

import pytest
from helpers_study import arm, flat, study
from hypothesis import given
from hypothesis import strategies as st

from semiseg.render.document import Cell, Table
from semiseg.render.table_markup import as_latex, as_markdown, latex_escape, markdown_escape
from semiseg.render.table_text import as_text
from semiseg.study_report.tables.study_tables import study_tables
from semiseg.study_report.tables.table_formats import as_csv, write_tables


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


def test_csv_has_a_column_for_each_part():
    def difference(*values):
        return tuple(zip(("difference", "difference low", "difference high"), values, strict=True))

    parted = table(
        (
            Cell("a"),
            Cell("+0.1 (+0.0 to +0.2)", value=0.1, parts=difference(0.11, 0.02, 0.2)),
            Cell("45%", value=0.451),
        ),
        (Cell("b"), Cell("–", parts=difference(None, None, None)), Cell("better")),
    )
    assert list(csv.reader(io.StringIO(as_csv(parted)))) == [
        ["setting", "difference", "difference low", "difference high", "p"],
        ["a", "0.11", "0.02", "0.2", "0.451"],
        ["b", "", "", "", "better"],
    ]


def test_csv_of_a_study_is_data_whatever_is_missing():
    def csv_of(*arms):
        (found,) = (t for t in study_tables(study(*arms)) if t.key == "compared_dice")
        return list(csv.DictReader(io.StringIO(as_csv(found))))

    baseline, method = arm("supervised", 12, flat(0.5)), arm("cps", 12, flat(0.6), total=50)
    row, alone = csv_of(baseline, method, arm("supervised", 25, flat(0.7)))
    columns = ("necrosis baseline", "necrosis method", "difference low", "seeds baseline", "seeds method")
    assert [float(row[name]) for name in columns] == [pytest.approx(x) for x in (0.5, 0.6, 0.1, 1, 1)]
    assert [alone[name] for name in columns[1:]] == ["", "", "1", ""]
    assert row["verdict"] == "better"
    assert list(csv_of(baseline, method)[0]) == list(row)


WORDS = (
    (Cell("a"), Cell("-1.5 (-2.0 to -1.0)", value=-1.5), Cell("")),
    (Cell("b-1"), Cell("2", value=2), Cell("3-4 cases")),
)


@pytest.mark.parametrize(
    ("title", "more", "letter"), [("note", {}, "p{4cm}"), ("verdict", {}, "l"), ("why", {"text_at_end": 1}, "l")]
)
def test_words_at_the_end_are_read_from_the_left(title, more, letter):
    shown = table(*WORDS, columns=("name", "difference", title), **more)
    assert as_text(shown).splitlines()[-1] == f"b-1   {'2':>19}  3-4 cases"
    assert "| :-- | --: | :-- |" in as_markdown(shown)
    assert rf"\begin{{tabular}}{{lr{letter}}}" in as_latex(shown)


def test_latex_sets_negative_numbers_with_a_minus():
    text = as_latex(table(*WORDS, columns=("name", "difference", "note")))
    assert "a & $-$1.5 ($-$2.0 to $-$1.0) & " in text
    assert "b{-}1 & 2 & 3{-}4 cases" in text


@pytest.mark.parametrize("columns", [9, 10])
def test_latex_fits_wide_tables_to_the_page(columns):
    lines = as_latex(table((Cell("1"),) * columns, columns=("x",) * columns)).splitlines()
    before = [r"\footnotesize", r"\setlength{\tabcolsep}{3pt}", r"\resizebox{\textwidth}{!}{%"]
    first, last = (next(i for i, line in enumerate(lines) if mark in line) for mark in ("{tabular}{", "end{tabular}"))
    assert (lines[first - 3 : first] == before) is (lines[last + 1] == "}") is (columns == 10)


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
