import json
import re
from base64 import b64decode
from collections import defaultdict
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from semiseg.errors import StorageError
from semiseg.render import page as page_module
from semiseg.render.document import CaseScore, Cell, Figure, Page, Section, Table, ViewedCase
from semiseg.render.page import FIRST_ROWS, SECTION_SENTENCES, SUMMARY_SENTENCES, render_page, write_page
from semiseg.render.page_tables import column_kinds, print_size

HOSTILE = "</script><img src=x onerror=alert(1)><!--\"'&amp;{{ 7 * 7 }}\u2028\u2029é"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


class Document(HTMLParser):
    """Tags with their attributes in order, and the text within each tag and each id."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self._open = [], defaultdict(str), []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "link", "img", "input"}:
            self._open.append((tag, {tag, dict(attrs).get("id", tag)}))

    def handle_endtag(self, tag):
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data):
        for key in set().union(*(keys for _, keys in self._open)):
            self.texts[key] += data

    def attributes(self, tag, name):
        return [attrs[name] for found, attrs in self.tags if found == tag and name in attrs]


def page(name, scores=3):
    volume = np.arange(1, 61, dtype=np.float32).reshape(5, 4, 3)
    labels = (volume > 30).astype(np.uint8)
    table = Table("key", name, (name, "Dice"), ((Cell(name), Cell("0.5", True, 0.5)),), (name,))
    rows = [CaseScore(name, name, name, name, name, 0.25 * i, f"{name}{i}", name) for i in range(scores)]
    return Page(
        name,
        (name,),
        (Section(name, (name,), (table,), (Figure("key", name, name, SVG, bytes, name),)),),
        (*rows, CaseScore("other", "o", "o", "o", "o", None, "undefined", "missed")),
        (ViewedCase(name, name, volume, {name: labels, "second": labels}, (1, 1, 1)),),
        ("background", name),
        {name: name},
        {name: name},
    )


def test_hostile_names_make_no_tags_anywhere():
    hostile, tame = Document(render_page(page(HOSTILE))), Document(render_page(page("tame")))
    assert [(tag, list(attrs)) for tag, attrs in hostile.tags] == [(tag, list(attrs)) for tag, attrs in tame.tags]
    for key in ("title", "h1", "h2", "caption", "th", "td", "option", "p", "figcaption", "dt", "dd", "nav", "li"):
        assert HOSTILE in hostile.texts[key], key
    assert HOSTILE in hostile.attributes("img", "alt")


def test_scripts_read_hostile_names_as_they_are():
    text = render_page(page(HOSTILE))
    document = Document(text)
    viewer = json.loads(document.texts["viewer-data"])
    assert viewer["classes"] == ["background", HOSTILE]
    assert viewer["cases"][0]["name"] == viewer["cases"][0]["labels"][0]["title"] == HOSTILE
    scores = json.loads(document.texts["score-data"])
    assert scores["columns"][2]["texts"] == [HOSTILE, "o"]
    for data in re.findall(r'application/json"[^>]*>(.*?)</script>', text, re.DOTALL):
        assert not set("<>&\u2028\u2029") & set(data)


def test_scores_are_kept_by_column():
    scores = json.loads(Document(render_page(page("a"))).texts["score-data"])
    columns = {column["name"]: column for column in scores["columns"]}
    assert columns["case"]["rows"] == [0, 0, 0, 1]
    assert columns["shown"]["texts"] == ["a0", "a1", "a2", "undefined"]
    assert scores["values"] == [0.0, 0.25, 0.5, None]


def test_an_infinite_value_counts_as_none():
    infinite = CaseScore("r", "last", "c", "tumor", "hd95", float("inf"), "inf", "missed")
    scores = json.loads(Document(render_page(Page("t", scores=(infinite,)))).texts["score-data"])
    assert scores["values"] == [None]


def test_only_columns_with_several_texts_are_to_be_chosen_from():
    ids = Document(render_page(page("a"))).attributes("select", "data-column")
    assert ids == ["run", "checkpoint", "class_name", "metric"]
    alone = replace(page("a"), scores=page("a").scores[:3])
    assert not Document(render_page(alone)).attributes("select", "data-column")


def test_the_first_scores_are_readable_without_scripts():
    text = render_page(page("a", scores=FIRST_ROWS + 5))
    document = Document(text)
    assert f"a{FIRST_ROWS - 1}" in document.texts["score-table"]
    assert f"a{FIRST_ROWS}" not in document.texts["score-table"]
    assert document.texts["score-count"].strip() == f"The first {FIRST_ROWS} of {FIRST_ROWS + 6} rows."
    assert "noscript" in dict(document.tags)


def test_nothing_is_fetched_from_elsewhere():
    text = render_page(page("a"))
    document = Document(text)
    references = [
        value
        for _, attrs in document.tags
        for name, value in attrs.items()
        if name in {"src", "href", "srcset", "action", "data", "poster", "style"} or name.startswith("on")
    ]
    assert references
    assert all(reference.startswith(("data:", "#")) for reference in references)
    assert not re.search(r"https?:|//[a-z]|@import|url\(", document.texts["style"])
    assert "http" not in text.replace("http-equiv", "")


def test_the_browser_is_told_to_run_nothing_but_the_page_s_own_scripts():
    document = Document(render_page(page(HOSTILE)))
    policy = next(attrs["content"] for tag, attrs in document.tags if tag == "meta" and "http-equiv" in attrs)
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    scripts = [attrs for tag, attrs in document.tags if tag == "script" and "type" not in attrs]
    assert policy.count("sha256-") == len(scripts) + 1
    assert "unsafe" not in policy


def test_figures_are_images_with_words():
    document = Document(render_page(page("a")))
    ((source, alt),) = [(attrs["src"], attrs["alt"]) for tag, attrs in document.tags if tag == "img"]
    assert (b64decode(source.removeprefix("data:image/svg+xml;base64,")), alt) == (SVG, "a")


def test_figures_have_a_title_and_a_note_below():
    noted = Figure("key", "What is seen", "alt", SVG, bytes, "Bars: intervals.")
    text = render_page(Page("t", sections=(Section("s", figures=(noted, replace(noted, note=""))),)))
    assert Document(text).texts["figcaption"].split() == [
        "What",
        "is",
        "seen",
        "Bars:",
        "intervals.",
        "What",
        "is",
        "seen",
    ]
    assert text.count('<span class="note">') == 1  # none where there is nothing to say


@pytest.mark.parametrize("more", [0, 1, 3])
def test_long_texts_are_folded_but_whole(more):
    def said(name, count):
        return tuple(f"{name}{i}." for i in range(count))

    summary, section = said("first", SUMMARY_SENTENCES + more), said("second", SECTION_SENTENCES + more)
    document = Document(render_page(Page("t", summary, (Section("s", section),))))
    assert document.texts["p"] == "".join((*summary, *section))
    folded = [*summary[SUMMARY_SENTENCES:], *section[SECTION_SENTENCES:]]
    assert [word for word in document.texts["details"].split() if word.endswith(".")] == folded
    assert document.texts["summary"] == (f"{more} more" * 2 if more else "")


ROWS = (
    (Cell("cps"), Cell("4", value=4), Cell("0.612 to 0.660"), Cell("–"), Cell("better"), Cell("")),
    (Cell("cps"), Cell("8", value=8), Cell("more than 32"), Cell("–"), Cell("worse"), Cell("the curve ends at 32")),
)
TABLE = Table("key", "title", ("method", "labeled", "interval", "gap", "verdict", "note"), ROWS)


def test_columns_of_words_are_text_and_intervals_are_numbers():
    assert column_kinds(TABLE) == ("", "number", "number", "number", "text", "text")
    without = replace(TABLE, rows=tuple((*row[:4], Cell(""), Cell("")) for row in ROWS))
    assert column_kinds(without)[4:] == ("number", "number")
    assert column_kinds(replace(without, text_at_end=1))[4:] == ("number", "text")
    page_text = render_page(Page("t", sections=(Section("s", tables=(TABLE,)),)))
    assert '<td class="text" data-title="note">the curve ends at 32</td>' in page_text
    assert '<th scope="col" class="text">verdict</th>' in page_text
    assert '<td class="number" data-title="interval">0.612 to 0.660</td>' in page_text


def test_wide_tables_have_smaller_letters_in_print():
    sizes = []
    for count in (4, 12, 14, 16, 40):
        rows = (tuple(Cell("0.612 to 0.660") for _ in range(count)),)
        sizes.append(print_size(Table("key", "wide", ("interval",) * count, rows)))
    assert sizes == ["", "wide", "wider", "widest", "widest"]
    assert print_size(TABLE) == ""
    css = (page_module.TEMPLATES / "report.css").read_text(encoding="utf-8")
    assert all(f"table.{name} {{ font-size" in css for name in sizes[1:])


def test_every_id_is_given_once_and_every_reference_is_to_one():
    document = Document(render_page(page("a")))
    ids = [attrs["id"] for _, attrs in document.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    named = [attrs["aria-labelledby"] for _, attrs in document.tags if "aria-labelledby" in attrs]
    assert {*named, *(href[1:] for href in document.attributes("a", "href"))} <= set(ids)
    assert set(document.attributes("label", "for")) <= set(ids)


def test_headings_are_in_order():
    document = Document(render_page(page("a")))
    assert [tag for tag, _ in document.tags if re.fullmatch(r"h\d", tag)] == ["h1", *["h2"] * 5]
    order = ["Per-case scores", "Worst cases", "Protocol", "Environment"]
    assert document.texts["h2"] == "a" + "".join(order)


@pytest.mark.parametrize(
    ("part", "heading"),
    [("scores", "Per-case"), ("cases", "Worst"), ("protocol", "Protocol"), ("environment", "Environment")],
)
def test_an_empty_part_is_left_out_with_its_heading(part, heading):
    whole = page("a")
    document = Document(render_page(replace(whole, **{part: type(getattr(whole, part))()})))
    assert heading in Document(render_page(whole)).texts["nav"]
    assert heading not in document.texts["h2"] + document.texts["nav"]


def test_a_page_of_nothing_but_a_title():
    empty = Table("key", "empty", ("a",), ())
    document = Document(render_page(Page("Alone", sections=(Section("Nothing"), Section("Empty", tables=(empty,))))))
    assert document.texts["body"].split() == ["Skip", "to", "content", "Alone", *document.texts["script"].split()]
    assert not {"nav", "h2", "section", "table"} & set(dict(document.tags))


def test_the_file_is_whole_or_not_there(tmp_path, monkeypatch):
    path = tmp_path / "folder" / "report.html"
    write_page(path, page("first"))
    first = path.read_text(encoding="utf-8")
    assert first == render_page(page("first"))

    def full(*_):
        raise StorageError("no room")

    monkeypatch.setattr("semiseg.io.atomic._sync_folder", full)
    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(StorageError):
        write_page(path, page("second"))
    assert path.read_text(encoding="utf-8") == first
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]


def test_templates_lie_in_the_package():
    names = {file.name for file in page_module.TEMPLATES.iterdir()}
    assert {"report.html", "report.css", *page_module.SCRIPTS} <= names
