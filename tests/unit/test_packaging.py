"""What the packages carry: recipes in wheels, and what semiseg knows of the plugins that lie beside it."""

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import semiseg
from semiseg.cli.components import entries_named
from semiseg.errors import ComponentError
from semiseg.own_plugins import PACKAGES, answer, not_installed
from semiseg.registry import GROUPS, find

ROOT = Path(__file__).parents[2]
PACKAGED = sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))
METHODS = [folder for folder in PACKAGED if (folder / "recipes").is_dir()]
"""Those with recipes; the others have observers or are programs."""
OBSERVERS = [folder for folder in PACKAGED if "semiseg.observers" in (folder / "pyproject.toml").read_text()]


def metadata(folder):
    return tomllib.loads((folder / "pyproject.toml").read_text())


def wheel(folder, into):
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", into, folder]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return next(into.glob("*.whl"))


@pytest.mark.slow
def test_the_wheel_runs_shipped_recipes_without_the_repository(tmp_path):
    package = wheel(ROOT, tmp_path)
    with zipfile.ZipFile(package) as archive:
        archive.extractall(tmp_path / "site")
    inside, ours = tmp_path / "site/semiseg/recipes", ROOT / "recipes"
    carried = {path.relative_to(inside): path.read_bytes() for path in inside.rglob("*.*")}
    assert carried == {path.relative_to(ours): path.read_bytes() for path in ours.rglob("*.yaml")}
    assert Path("published/luque2023.yaml") in carried
    assert not (tmp_path / "site/recipes").exists()

    (tmp_path / "empty").mkdir()
    code = (
        "import semiseg; print(semiseg.__file__, semiseg.load_recipe('quickstart').where('seed'));"
        "from semiseg.study.load import load_study; print(load_study('brats_study', expand=False).published)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path / "empty",
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=True,
    )
    first, second = done.stdout.splitlines()
    assert first.startswith(f"{tmp_path / 'site/semiseg/__init__.py'} quickstart:")
    assert second == str(inside / "published/luque2023.yaml")


@pytest.mark.slow
def test_a_plugin_s_wheel_carries_its_recipes_and_says_so(tmp_path):
    folder = ROOT / "plugins/semiseg-mean-teacher"
    with zipfile.ZipFile(wheel(folder, tmp_path)) as archive:
        for path in folder.glob("recipes/*.yaml"):
            assert archive.read(f"semiseg_mean_teacher/recipes/{path.name}") == path.read_bytes()
        entries = archive.read(f"semiseg_mean_teacher-{semiseg.__version__}.dist-info/entry_points.txt").decode()
    assert "[semiseg.recipes]\nmean_teacher = semiseg_mean_teacher.recipes\n" in entries


@pytest.mark.parametrize("folder", METHODS, ids=lambda folder: folder.name)
def test_every_plugin_puts_its_recipes_where_its_entry_point_says(folder):
    package, data = folder.name.replace("-", "_"), metadata(folder)
    build = data["tool"]["hatch"]["build"]["targets"]["wheel"]

    assert list(data["project"]["entry-points"]["semiseg.recipes"].values()) == [f"{package}.recipes"]
    assert build == {
        "only-include": [f"src/{package}", "recipes"],
        "sources": {"src": "", "recipes": f"{package}/recipes"},
    }


def test_the_table_of_our_plugins_is_what_they_declare():
    declared = {}
    for folder in (*METHODS, *OBSERVERS):
        points = metadata(folder)["project"]["entry-points"]
        held = {kind: tuple(sorted(points[group])) for kind, group in GROUPS.items() if group in points}
        if recipes := sorted(path.stem for path in folder.glob("recipes/*.yaml")):
            held["recipe"] = tuple(recipes)
        declared[folder.name] = held
    assert declared == PACKAGES


def test_packages_of_observers_have_nothing_else():
    assert OBSERVERS
    for folder in OBSERVERS:
        assert [*metadata(folder)["project"]["entry-points"]] == ["semiseg.observers"]


def test_a_package_without_recipes_and_observers_is_a_program_without_components():
    programs = [metadata(folder)["project"] for folder in PACKAGED if folder not in (*METHODS, *OBSERVERS)]
    assert programs
    for project in programs:
        assert project["scripts"]
        assert not [group for group in project.get("entry-points", ()) if group.startswith("semiseg.")]


def test_the_extra_methods_is_all_methods_and_no_other_extra_has_any():
    extras = metadata(ROOT)["project"]["optional-dependencies"]

    assert {name.partition(">=")[0] for name in extras["methods"]} == {folder.name for folder in METHODS}
    others = [name for extra, names in extras.items() if extra != "methods" for name in names]
    assert not [name for name in others if name.startswith("semiseg-") or "methods" in name]


class TestNamesThatAreNotInstalled:
    @pytest.fixture(autouse=True)
    def packages(self, monkeypatch):
        held = {"strategy": ("own_teacher",), "backbone": ("own_net",)}
        monkeypatch.setattr("semiseg.own_plugins.PACKAGES", {"semiseg-own": held})

    def test_are_answered_with_their_package(self):
        with pytest.raises(ComponentError) as raised:
            find("strategy", "own_teacher", "x.yaml:3")
        assert str(raised.value) == (
            "Unknown strategy 'own_teacher' (x.yaml:3). It is in the package semiseg-own: pip install semiseg-own.\n"
            '    From a checkout: pip install plugins/semiseg-own. All of our plugins: pip install "semiseg[methods]".'
        )

    def test_of_observers_are_not_said_to_be_methods(self, monkeypatch):
        monkeypatch.setattr("semiseg.own_plugins.PACKAGES", {"semiseg-own": {"observer": ("own_tracker",)}})
        with pytest.raises(ComponentError) as raised:
            find("observer", "own_tracker")
        assert str(raised.value) == (
            "Unknown observer 'own_tracker'. It is in the package semiseg-own: pip install semiseg-own.\n"
            "    From a checkout: pip install plugins/semiseg-own."
        )

    def test_in_a_recipe_s_blocks_and_networks(self):
        changes = ["strategy.networks.student_a.name=own_net", "backbone.name=own_net"]
        with pytest.raises(semiseg.SemisegError) as raised:
            semiseg.load_recipe("quickstart", changes)
        assert [problem.what for problem in raised.value.problems] == [
            f"Unknown backbone 'own_net' (--set {change}). It is in the package semiseg-own: pip install semiseg-own."
            for change in reversed(changes)
        ]

    def test_on_the_command_line_whatever_their_kind(self):
        with pytest.raises(ComponentError, match=r"Unknown backbone 'own_net'\. It is in the package semiseg-own"):
            entries_named("own_net")

    def test_are_suggested_for_a_misspelled_one_with_their_package(self):
        with pytest.raises(ComponentError, match=r"Did you mean 'own_teacher'\? It is in the package semiseg-own:"):
            find("strategy", "own_techer")

    def test_of_a_version_from_before_the_name_are_answered_with_installing_it_again(self, distribution):
        distribution("semiseg-own", {"semiseg.backbones": {}}, "0.1")
        with pytest.raises(ComponentError) as raised:
            find("strategy", "own_teacher")
        assert str(raised.value) == (
            "Unknown strategy 'own_teacher'. It is in the package semiseg-own, but the installed version 0.1 does not"
            " register it.\n    Install it again: pip install --upgrade --force-reinstall --no-deps semiseg-own, from a"
            " checkout: pip install plugins/semiseg-own."
        )

    def test_are_of_their_kind_alone(self):
        assert answer("strategy", "own_net") is None
        with pytest.raises(ComponentError, match=r"^Unknown strategy 'own_net'\.(?! It is in)"):
            find("strategy", "own_net")


def test_what_is_not_installed_of_our_packages_is_known_by_name():
    assert not_installed("strategy", {"bcp", "ad_mt", "dan", "ict", "mean_teacher", "ua_mt", "dtc"}) == [
        ("semiseg-adversarial", ("sassnet",)),
        ("semiseg-copy-paste", ("cps_cutmix", "sdcl")),
        ("semiseg-multi-head", ("mc_net", "urpc")),
    ]
    assert not_installed("metric", set()) == []
