"""A report as one self-contained HTML file: no network, no other files, and scripts only for sorting and viewing."""

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from semiseg.io.atomic import write_text
from semiseg.render.document import Page, Section
from semiseg.render.page_data import case_data, score_data
from semiseg.render.page_tables import column_kinds, print_size
from semiseg.render.preview import COLORS

TEMPLATES = Path(__file__).parent / "templates"
SCRIPTS = ("sorting.js", "tables.js", "saving.js", "scores.js", "viewer.js", "print.js")
FIRST_ROWS = 200
MANY_ROWS = 40
"""Rows from which on a table is scrolled in a box of its own."""
SUMMARY_SENTENCES, SECTION_SENTENCES = 5, 6
"""Number of sentences shown at once; the others are folded."""


def write_page(path: Path, page: Page) -> None:
    """Write a report as one HTML file, atomically.

    Names and texts are escaped. Without JavaScript, the page still shows everything except the slices and the scores
    after the first rows.

    Raises:
        ValueError: if the label map of a viewed case does not have its image's shape, or has a class without a name.
        StorageError: if writing fails; the previous content of ``path`` is then intact.
    """
    write_text(path, render_page(page))


def render_page(page: Page) -> str:
    """Return the text of the HTML file; raises the errors of ``write_page`` except StorageError."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    environment.filters["base64"] = lambda data: base64.b64encode(data).decode()
    environment.filters |= {"column_kinds": column_kinds, "print_size": print_size}
    return environment.get_template("report.html").render(_content(page))


def _content(page: Page) -> Mapping[str, Any]:
    style = _template("report.css")
    scripts = [_template(name) for name in SCRIPTS]
    colors = [COLORS[index % len(COLORS)] for index in range(max(len(page.classes) - 1, 0))]
    viewer = {
        "classes": page.classes,
        "colors": colors,
        "cases": [case_data(case, len(page.classes)) for case in page.cases],
    }
    return {
        "page": page,
        "SUMMARY_SENTENCES": SUMMARY_SENTENCES,
        "SECTION_SENTENCES": SECTION_SENTENCES,
        "MANY_ROWS": MANY_ROWS,
        "sections": [section for section in page.sections if _has_content(section)],
        "scores": score_data(page.scores, FIRST_ROWS),
        "first_rows": page.scores[:FIRST_ROWS],
        "viewer": viewer,
        "legend": list(zip(page.classes[1:], colors, strict=True)),
        "style": style,
        "scripts": scripts,
        "style_hash": _hash(style),
        "script_hashes": [_hash(script) for script in scripts],
    }


def _has_content(section: Section) -> bool:
    return bool(section.text or section.figures or section.pictures or any(table.rows for table in section.tables))


def _template(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    # The page's content security policy allows exactly these texts.
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
