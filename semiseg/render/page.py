"""A report as one HTML file that needs nothing else: no network, no other files, and scripts only to sort and look."""

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
SCRIPTS = ("sorting.js", "tables.js", "scores.js", "viewer.js", "print.js")
FIRST_ROWS = 200
SUMMARY_SENTENCES, SECTION_SENTENCES = 5, 6
"""How many are seen at once; the others are folded."""


def write_page(path: Path, page: Page) -> None:
    """Write a report as one HTML file, atomically.

    Names and texts are shown as they are, whatever they hold. Without JavaScript it still shows all but the slices,
    and the first rows of the scores.

    Raises:
        ValueError: where a viewed case's label map is not of its image's shape, or has a class that has no name.
        StorageError: where the disk refuses; what ``path`` was before is intact then.
    """
    write_text(path, render_page(page))


def render_page(page: Page) -> str:
    """The text of the HTML file; errors as in ``write_page``, but for the disk's."""
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
    return bool(section.text or section.figures or any(table.rows for table in section.tables))


def _template(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    # The page's policy lets the browser run these very texts and no other.
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
