"""Documents that can be checked: they are up to date, and their links lead somewhere."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def test_the_recipe_page_is_the_schema_s():
    path = ROOT / "docs/reference/make_recipe.py"
    spec = importlib.util.spec_from_file_location("make_recipe", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (ROOT / "docs/reference/recipe.md").read_text() == module.page()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)#]+)", page.read_text())
    missing = [t for t in targets if "://" not in t and not (page.parent / t).exists()]
    assert missing == []


def test_every_recipe_says_purpose_data_command_and_time():
    recipes = sorted((ROOT / "recipes").rglob("*.yaml"))
    assert len(recipes) >= 7
    for recipe in recipes:
        header = recipe.read_text().split("\nname:")[0]
        for word in ("Purpose", "Data", "Command", "Time"):
            assert f"# {word} " in header, f"{recipe.name} lacks {word}"
        assert f"run {recipe.stem}" in header
