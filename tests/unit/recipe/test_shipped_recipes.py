"""Recipes that come with packages: what their names mean, where they are found, and what is said where they are not."""

import shutil
import sys
from pathlib import Path

import pytest

from semiseg.errors import RecipeError
from semiseg.recipe.find import find_recipe
from semiseg.recipe.header import first_sentence, read_header
from semiseg.recipe.load import load_recipe
from semiseg.recipe.shipped import by_package, find_shipped, shipped
from semiseg.runs.folder import RunFolder
from semiseg.study.load import load_study

RECIPES = Path(__file__).parents[3] / "recipes"
IMPORTED = "raise RuntimeError('imported')"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """An empty folder, in which nobody has a checkout."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def plugin(distribution, name="semiseg-odd", module="semiseg_odd", target=None, recipes=("oddity",)):
    text = (RECIPES / "quickstart.yaml").read_text()
    files = {f"{module}/__init__.py": IMPORTED} | {f"{module}/recipes/{recipe}.yaml": text for recipe in recipes}
    return distribution(name, {"semiseg.recipes": {module: target or f"{module}.recipes"}}, files=files)


def refusal(name):
    with pytest.raises(RecipeError) as raised:
        load_recipe(name)
    assert raised.value.exit_code == 2
    return str(raised.value)


class TestNames:
    def test_every_recipe_of_the_repository_has_its_name(self):
        assert [recipe.name for recipe in next(iter(by_package().values()))] == sorted(
            path.stem for path in RECIPES.glob("*.yaml")
        )

    def test_a_name_is_read_from_any_folder_and_means_the_same_as_the_path(self):
        named, pathed = load_recipe("quickstart"), load_recipe(RECIPES / "quickstart.yaml")
        assert named.model_dump() == pathed.model_dump()
        assert load_recipe(Path("quickstart")).model_dump() == pathed.model_dump()

    @pytest.mark.slow
    def test_a_study_too(self):
        assert load_study("la_study", expand=False).name == "la_study"

    @pytest.mark.parametrize("file", ["quickstart", "quickstart.yaml"])
    def test_a_file_of_that_name_in_this_folder_comes_first(self, elsewhere, file):
        text = (RECIPES / "quickstart.yaml").read_text().replace("seed: 1", "seed: 5")
        (elsewhere / file).write_text(text)
        assert load_recipe("quickstart").seed == 5
        assert find_recipe("quickstart").title == file

    def test_a_folder_of_that_name_does_not(self, elsewhere):
        (elsewhere / "quickstart").mkdir()
        assert load_recipe("quickstart").name == "quickstart"

    def test_lines_are_named_by_the_recipe(self):
        lines = (RECIPES / "quickstart.yaml").read_text().splitlines()
        assert load_recipe("quickstart").where("seed") == f"quickstart:{lines.index('seed: 1') + 1}"

    def test_commands_that_are_proposed_have_the_name(self):
        with pytest.raises(RecipeError, match=r"quickstart is the recipe of one run.*\n +semiseg run quickstart$"):
            load_study("quickstart")
        assert refusal("brats_study").endswith("semiseg study run brats_study")

    def test_a_run_goes_on_by_name_or_path_alike(self, tmp_path):
        folder = RunFolder(tmp_path / "run")
        folder.path.mkdir()
        folder.write_start(load_recipe("quickstart"), {}, {})
        folder.prepare(load_recipe("quickstart"), resume=True)
        folder.prepare(load_recipe(RECIPES / "quickstart.yaml"), resume=True)


class TestRefusals:
    def test_of_an_unknown_name_tell_the_nearest_and_all(self):
        said = refusal("quikstart")
        assert said.startswith(
            "There is neither a file 'quikstart' in this folder nor a shipped recipe of this name."
            " Did you mean 'quickstart'?\n    Shipped recipes: "
        )
        assert all(path.stem in said for path in RECIPES.glob("*.yaml"))

    @pytest.mark.parametrize(
        ("path", "command"),
        [
            ("recipes/quickstart.yaml", "semiseg run quickstart"),
            ("quickstart.yaml", "semiseg run quickstart"),
            ("recipes/la_study.yaml", "semiseg study run la_study"),
        ],
    )
    def test_of_a_path_of_the_checkout_tell_the_command_that_works(self, path, command):
        said = refusal(path)
        assert said.startswith(f"{path} cannot be read: No such file or directory.\n")
        assert said.endswith(f"Run it from any folder: {command}")

    def test_of_another_path_say_that_it_is_not_there(self):
        assert refusal("mine.yaml") == "mine.yaml cannot be read: No such file or directory."

    def test_of_a_recipe_of_a_plugin_of_ours_tell_its_package(self, monkeypatch):
        monkeypatch.setattr("semiseg.own_plugins.PACKAGES", {"semiseg-own": {"recipe": ("own",)}})
        assert "It is in the package semiseg-own: pip install semiseg-own." in refusal("own")


class TestPlugins:
    def test_carry_recipes_and_are_not_imported(self, distribution):
        site = plugin(distribution)
        assert [recipe.name for recipe in by_package()["semiseg-odd 1.0"]] == ["oddity"]
        assert find_recipe("oddity").path == site / "semiseg_odd/recipes/oddity.yaml"
        assert load_recipe("oddity").name == "quickstart"
        assert "semiseg_odd" not in sys.modules

    @pytest.mark.parametrize("package", ["semiseg_odd", "src/semiseg_odd"])
    def test_of_a_checkout_have_them_beside_pyproject(self, distribution, monkeypatch, tmp_path, package):
        checkout = tmp_path / "checkout"
        (checkout / package).mkdir(parents=True)
        (checkout / package / "__init__.py").write_text(IMPORTED)
        (checkout / "recipes").mkdir()
        shutil.copy(RECIPES / "quickstart.yaml", checkout / "recipes/oddity.yaml")
        distribution("semiseg-odd", {"semiseg.recipes": {"odd": "semiseg_odd.recipes"}})
        monkeypatch.syspath_prepend((checkout / package).parent)

        assert by_package()["semiseg-odd 1.0"] == []  # some folder of that name is not the package's
        (checkout / "pyproject.toml").touch()
        assert find_shipped("oddity").path == checkout / "recipes/oddity.yaml"

    @pytest.mark.parametrize("target", ["semiseg_odd.nowhere", "nowhere_at_all.recipes", "json.recipes"])
    def test_that_name_no_folder_are_listed_with_none(self, distribution, target):
        plugin(distribution, target=target)
        assert by_package()["semiseg-odd 1.0"] == []
        assert load_recipe("quickstart").name == "quickstart"

    def test_of_one_recipe_s_name_are_both_named(self, distribution):
        sites = [plugin(distribution), plugin(distribution, "semiseg-even", "semiseg_even")]
        said = refusal("oddity")
        assert said.startswith("Several packages ship a recipe 'oddity': semiseg-even 1.0 and semiseg-odd 1.0.\n")
        assert all(str(site) in said for site in sites)
        assert [recipe.name for recipe in shipped()].count("oddity") == 2


class TestHeader:
    def test_entries_go_on_over_lines(self):
        text = "# A title.\n#\n# Purpose   one thing\n#           and more\n# Data      none\n#\n#    aside\nseed: 1\n"
        assert read_header(text) == {"Title": "A title.", "Purpose": "one thing and more", "Data": "none"}

    def test_every_shipped_recipe_tells_purpose_and_data(self):
        for path in RECIPES.glob("*.yaml"):
            header = read_header(path.read_text())
            assert header["Purpose"], path
            assert header["Data"], path

    def test_sentences(self):
        assert first_sentence("Luque et al. 2023, tables 1. The rest.") == "Luque et al. 2023, tables 1"
        assert first_sentence("No more than this.") == "No more than this"
