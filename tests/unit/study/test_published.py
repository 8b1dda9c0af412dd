"""Published values of a study: where they are found, what is refused, and that the study's folder keeps them."""

from pathlib import Path

import pytest

from semiseg.errors import RecipeError
from semiseg.progress import Reporter
from semiseg.recipe.shipped import shipped
from semiseg.study.folder import StudyFolder
from semiseg.study.load import load_study
from semiseg.study.published import find_published, load_published
from semiseg.study.run import make_plans

RECIPES = Path(__file__).parents[3] / "recipes"
VALUES = """
source: {title: Odd, authors: [A. Author], year: 2020, cited: Author 2020}
dataset: {name: Odd, plugin: odd}
classes: {core: Core}
methods: [supervised, cps]
tables:
  dice: {source: table 1, unit: "1", digits: 2, total: 8, values: {unet: {4: {core: [0.5, 0.75]}}}}
"""
STUDY = """
name: odd_study
published: odd2020
matrix: [{strategy: [supervised, cps], split.labeled: 2}]
base:
  dataset: {name: phantom, cases: 8, size: [32, 32, 32]}
  split: {test: 3, validation: 1, labeled: 2}
  backbone: {name: unet, channels: [4, 8], strides: [2]}
  strategy: supervised
  training: {patch_size: [16, 16, 16]}
"""


def package(distribution, name="semiseg-odd", values=VALUES):
    """Installs a package with a study recipe and its published values; returns its recipe folder."""
    module = name.replace("-", "_")
    files = {f"{module}/recipes/odd_study.yaml": STUDY, f"{module}/recipes/published/odd2020.yaml": values}
    files[f"{module}/__init__.py"] = "raise RuntimeError('imported')"
    return distribution(name, {"semiseg.recipes": {module: f"{module}.recipes"}}, files=files) / module / "recipes"


@pytest.fixture
def refused(tmp_path):
    """Loads the study in a folder with this file of published values, and returns the problems."""

    def problems(values=None, study=STUDY):
        (tmp_path / "published").mkdir(exist_ok=True)
        (tmp_path / "mine.yaml").write_text(study)
        if values is not None:
            (tmp_path / "published/odd2020.yaml").write_text(values)
        with pytest.raises(RecipeError) as raised:
            load_study(tmp_path / "mine.yaml")
        return str(raised.value)

    return problems


class TestFinding:
    def test_beside_semiseg_s_own_recipes(self):
        assert load_study("brats_study", expand=False).published == RECIPES / "published/luque2023.yaml"

    def test_beside_the_recipe_of_another_package(self, distribution):
        folder = package(distribution)
        study = load_study("odd_study")
        assert study.published == folder / "published/odd2020.yaml"
        assert load_published(study.published).value("dice", "unet", "cps", 4, "core") == 0.75
        assert "odd2020" not in [recipe.name for recipe in shipped()]  # values are no recipe

    def test_a_copy_of_the_recipe_elsewhere_still_has_those_of_the_package(self, distribution, tmp_path):
        folder = package(distribution)
        (tmp_path / "mine.yaml").write_text(STUDY)
        assert load_study(tmp_path / "mine.yaml").published == folder / "published/odd2020.yaml"

    def test_those_beside_the_recipe_come_first(self, distribution, tmp_path):
        package(distribution)
        (tmp_path / "published").mkdir()
        (tmp_path / "published/odd2020.yaml").write_text(VALUES)
        assert find_published("odd2020", tmp_path) == tmp_path / "published/odd2020.yaml"

    def test_in_two_packages_they_are_ambiguous(self, distribution, tmp_path):
        folders = [package(distribution, name) for name in ("semiseg-odd", "semiseg-even")]
        with pytest.raises(RecipeError, match="'odd2020' is in several packages") as raised:
            find_published("odd2020", tmp_path)
        assert all(str(folder / "published/odd2020.yaml") in str(raised.value) for folder in folders)

    def test_an_unknown_name_is_refused_with_the_known_ones_and_its_line(self, refused, tmp_path):
        assert refused() == (
            f"published ({tmp_path}/mine.yaml:3): 'odd2020' is not known: luque2023\n"
            "    A study's own published values are in published/NAME.yaml next to its recipe."
        )

    def test_a_path_is_no_name(self, refused):
        assert "published" in refused(study=STUDY.replace("odd2020", "../odd2020"))


class TestFile:
    def test_all_its_problems_come_with_their_lines_and_those_of_the_models(self, refused):
        values = VALUES.replace("year: 2020", "year: soon").replace("[0.5, 0.75]", "[0.5]").replace("unit", "unti")
        said = refused(values, STUDY.replace("size:", "zsize:"))
        for words in ("source.year", "tables.dice.unit", "tables.dice.values.unet.4.core"):
            assert words in said
        assert "odd2020.yaml:2" in said
        assert "zsize" in said

    def test_what_is_not_printed_is_none(self, tmp_path):
        (tmp_path / "odd2020.yaml").write_text(VALUES.replace("[0.5, 0.75]", "[null, 0.75]"))
        found = load_published(tmp_path / "odd2020.yaml")
        assert [found.value("dice", "unet", method, 4, "core") for method in found.methods] == [None, 0.75]
        assert found.percent("dice", "unet", 4, "core") is None


def test_the_study_s_folder_keeps_a_copy_which_its_own_recipe_finds(distribution, tmp_path, monkeypatch):
    monkeypatch.setenv("SEMISEG_CACHE", str(tmp_path / "cache"))
    packaged = package(distribution) / "published/odd2020.yaml"
    study, folder = load_study("odd_study"), StudyFolder(tmp_path / "study")
    folder.write(study, make_plans(study, Reporter()), folder.places(study.models))
    packaged.unlink()

    again = load_study(folder.study_recipe)
    assert again.published == folder.published / "odd2020.yaml"
    assert again.published.read_text() == VALUES
