"""Documents that can be checked: they are up to date, and their links lead somewhere."""

import importlib.util
import re
import tomllib
from importlib import import_module
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
    recipes = sorted((ROOT / "recipes").glob("*.yaml"))
    assert len(recipes) >= 7
    for recipe in recipes:
        header = recipe.read_text().split("\nname:")[0]
        for word in ("Purpose", "Data", "Command", "Time"):
            assert f"# {word} " in header, f"{recipe.name} lacks {word}"
        assert f"run {recipe.stem}" in header


def public_names():
    """Modules of the API page, each with the names that its section has."""
    sections = re.split(r"^## `([\w.]+)`$", (ROOT / "docs/reference/api.md").read_text(), flags=re.MULTILINE)[1:]
    prose = (re.sub(r"```.*?```", "", text, flags=re.DOTALL) for text in sections[1::2])
    return {name: re.findall(r"`(\w+)`", text) for name, text in zip(sections[::2], prose, strict=True)}


@pytest.mark.parametrize(("module", "names"), public_names().items())
def test_every_public_name_can_be_imported(module, names):
    assert names
    missing = [name for name in names if not hasattr(import_module(module), name)]
    assert missing == []


def test_the_generated_pages_have_every_public_name_once_and_no_other():
    """Each ``::: module.name`` is replaced by the name's docstring."""
    pages = [ROOT / f"docs/reference/api-{page}.md" for page in ("plugin", "library")]
    generated = [name for page in pages for name in re.findall(r"^::: (\S+)$", page.read_text(), flags=re.MULTILINE)]
    assert sorted(generated) == sorted(f"{module}.{name}" for module, names in public_names().items() for name in names)


@pytest.mark.parametrize("module", ["semiseg", "semiseg.plugin"])
def test_the_api_page_names_all_that_a_facade_has(module):
    assert sorted(public_names()[module]) == sorted(import_module(module).__all__)


def test_the_way_of_a_case_has_at_most_25_stops_that_exist():
    page = (ROOT / "docs/explanation/architecture.md").read_text()
    stops = re.findall(r"^\| (\d+) \|.*\| `([\w/]+)\.py:(\w+)` \|$", page, flags=re.MULTILINE)
    assert [int(number) for number, _, _ in stops] == list(range(1, len(stops) + 1))
    assert 20 <= len(stops) <= 25
    modules = [("semiseg." + path.replace("/", "."), name) for _, path, name in stops]
    assert [each for each in modules if not hasattr(import_module(each[0]), each[1])] == []


def test_the_architecture_page_has_the_packages_in_the_order_that_is_checked():
    page = (ROOT / "docs/explanation/architecture.md").read_text().split("## Packages")[1]
    rows = [re.findall(r"`(\w+)`", row.split("|")[1]) for row in page.splitlines() if row.startswith("| `")]
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = [re.findall(r"\w+", layer) for layer in contracts[0]["layers"]]
    assert rows[:-1] == layers[: len(rows) - 1]
    assert {*rows[-1]} <= {name for layer in layers[len(rows) - 1 :] for name in layer}


def test_no_folder_has_more_than_18_modules():
    folders = {path.parent for path in (ROOT / "semiseg").rglob("*.py")}
    assert {str(folder) for folder in folders if len([*folder.glob("*.py")]) > 18} == set()
