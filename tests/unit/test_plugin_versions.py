"""Plugins are loaded only by versions of semiseg that have the interface they were written for."""

import sys
import tomllib
from pathlib import Path

import pytest

import semiseg
from semiseg.cli.plugins.commands import _packages
from semiseg.errors import ComponentError
from semiseg.plugin_versions import INTERFACES, on_semiseg, refusal, stated
from semiseg.registry import GROUPS, installed, load

ROOT = Path(__file__).parents[2]
NOW = semiseg.__version__
METRIC = """
    from semiseg.plugin import Metric

    class Zero(Metric):
        def value(self, pair):
            return 0.0
"""


@pytest.fixture
def plugin(distribution):
    def make(name, *requires):
        module = name.replace("-", "_")
        distribution(name, {"semiseg.metrics": {module: f"{module}:Zero"}}, requires=requires, **{module: METRIC})
        return module

    return make


def entry_of(name):
    return next(entry for entry in installed("metric") if entry.name == name)


@pytest.mark.parametrize(
    ("requires", "shown"),
    [
        ("semiseg>=0.2", ">=0.2"),
        ("semiseg (>=0.2)", ">=0.2"),
        ("Semiseg[tensorboard] >= 0.2, < 9", "<9,>=0.2"),
        (f"semiseg=={NOW}", f"=={NOW}"),
        ("semiseg>=0.2.0rc1", ">=0.2.0rc1"),
        ("semiseg>=0.2.dev3", ">=0.2.dev3"),
        ("semiseg>=0.1,<9", "<9,>=0.1"),  # the author states that it works with this version too
        ("semiseg<9", "<9"),
    ],
)
def test_a_plugin_for_this_version_is_loaded(plugin, requires, shown):
    name = plugin("fitting", "numpy>=1.26", requires)

    assert load("metric", name).__name__ == "Zero"
    assert entry_of(name).written_for == shown
    assert [*_packages([entry_of(name)])][1:] == [f"  fitting 1.0  {shown}"]
    assert not semiseg.load_recipe("quickstart", ["evaluation.metrics=[fitting]"]).notes


def test_one_for_an_earlier_interface_is_refused_without_being_imported(plugin):
    name = plugin("aged", "semiseg>=0.1.0")

    with pytest.raises(ComponentError) as raised:
        load("metric", name, "x.yaml:7")

    assert str(raised.value) == (
        "metric aged (aged 1.0) cannot be used (x.yaml:7): it was written for semiseg 0.1.0 (it requires"
        f" semiseg>=0.1.0), the metric interface changed in 0.2, and version {NOW} is installed.\n"
        "    `pip install --upgrade aged`, or `pip install 'semiseg<0.2'`. Its author adapts it and requires"
        " semiseg>=0.2."
    )
    assert name not in sys.modules


@pytest.mark.parametrize(
    ("requires", "shown"), [("semiseg>=99", ">=99"), ("semiseg>=0.1,<0.2", "<0.2,>=0.1"), ("semiseg~=0.1.4", "~=0.1.4")]
)
def test_one_that_excludes_this_version_is_refused(plugin, requires, shown):
    name = plugin("other-age", requires)

    with pytest.raises(ComponentError) as raised:
        load("metric", name)

    assert str(raised.value) == (
        f"metric other_age (other-age 1.0) cannot be used: it requires semiseg{shown}, and version {NOW} is installed."
        "\n"
        "    `pip install --upgrade semiseg other-age` installs versions that fit each other."
    )


@pytest.mark.parametrize(
    "requires", [(), ("semiseg",), ("semiseg!=0.1",), ("semiseg-parts>=9", "semiseg>=9; extra == 'x'")]
)
def test_one_that_states_no_version_is_loaded_with_a_note(plugin, requires):
    name = plugin("silent", *requires)

    assert load("metric", name).__name__ == "Zero"
    notes = semiseg.load_recipe("quickstart", ["evaluation.metrics=[silent, dice]"]).notes
    assert notes == (
        "the package silent 1.0 does not state for which version of semiseg it was written (it has no requirement such"
        " as semiseg>=0.2), so whether its components fit this one is not checked",
    )
    assert "silent 1.0  not stated, and not checked" in "\n".join(_packages([entry_of(name)]))


def test_all_that_a_recipe_s_components_lack_is_told_at_once(plugin):
    names = [plugin("aged", "semiseg>=0.1"), plugin("ahead", "semiseg>=99"), plugin("fitting", "semiseg>=0.2")]

    with pytest.raises(semiseg.SemisegError) as raised:
        semiseg.load_recipe("quickstart", [f"evaluation.metrics=[{', '.join(names)}]"])

    assert [problem.what.split(" cannot be used")[0] for problem in raised.value.problems] == [
        "metric aged (aged 1.0)",
        "metric ahead (ahead 1.0)",
    ]
    listed = "\n".join(_packages([entry_of(name) for name in names]))
    assert listed.count("cannot be used") == 2


def test_a_changed_interface_refuses_its_own_kind_alone(monkeypatch):
    monkeypatch.setattr("semiseg.plugin_versions.INTERFACES", {**INTERFACES, "strategy": "0.4"})
    old, tested, new = ("semiseg>=0.3",), ("semiseg>=0.3,<0.5",), ("semiseg>=0.4",)

    assert "interface changed in 0.4" in refusal("strategy", "p", old, "0.4.1").what
    assert refusal("metric", "p", old, "0.4.1") is None
    assert refusal("strategy", "p", tested, "0.4.1") is None
    assert refusal("strategy", "p", new, "0.4.1") is None
    assert (
        refusal("strategy", "p", new, "0.4.0.dev1").what
        == "it requires semiseg>=0.4, and version 0.4.0.dev1 is installed"
    )


def test_requirements_on_other_packages_are_left_out():
    told = ("semiseg>=0.2", "semiseg-nnunet>=9", "semisegment", "SEMISEG ; python_version > '3'", "numpy")
    assert on_semiseg(told) == ("semiseg>=0.2", "SEMISEG ; python_version > '3'")
    assert stated(("semiseg>=0.2", "semiseg<0.5")) == "<0.5,>=0.2"


def test_every_kind_has_an_interface_version_that_is_not_of_the_future():
    assert INTERFACES.keys() == GROUPS.keys()
    assert [kind for kind, changed in INTERFACES.items() if refusal(kind, "p", (f"semiseg>={changed}",), NOW)] == []


@pytest.mark.parametrize("path", sorted(ROOT.glob("plugins/*/pyproject.toml")), ids=lambda path: path.parent.name)
def test_our_plugins_state_a_version_that_is_accepted_and_have_semiseg_s(path):
    project = tomllib.loads(path.read_text())["project"]
    requirements = on_semiseg(project["dependencies"])
    kinds = [kind for kind, group in GROUPS.items() if group in project.get("entry-points", {})]

    assert stated(requirements)
    assert [kind for kind in kinds if refusal(kind, project["name"], requirements, NOW)] == []
    assert project["version"] == NOW


def test_the_version_is_the_same_wherever_it_is_stated():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == NOW
    plugins = [tomllib.loads(path.read_text())["project"] for path in ROOT.glob("plugins/*/pyproject.toml")]
    with_recipes = {
        f"{plugin['name']}>={NOW}" for plugin in plugins if "semiseg.recipes" in plugin.get("entry-points", {})
    }
    assert with_recipes == {*project["optional-dependencies"]["methods"]}
