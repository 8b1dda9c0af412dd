import re
import sys
from importlib.metadata import version

import pytest

from semiseg.datasets.phantom import Phantom
from semiseg.errors import ComponentError
from semiseg.interfaces.metric import Metric
from semiseg.registry import GROUPS, create, find, installed, load

OWN = version("semiseg")
VOLUME = '''
    from typing import Annotated
    from pydantic import Field
    from semiseg.interfaces.component import ComponentOptions
    from semiseg.interfaces.metric import Metric

    class Volume(Metric):
        """Volume ratio."""

        class Options(ComponentOptions):
            scale: Annotated[float, Field(gt=0)] = 1.0

        def value(self, pair):
            return self.options.scale * pair.n_prediction / pair.n_reference

    class NotAMetric:
        pass

    class LooseOptions(Metric):
        class Options:
            pass

        def value(self, pair):
            return 0.0
'''


@pytest.fixture
def volume(distribution):
    return distribution("ratio", {"semiseg.metrics": {"volume": "ratio_metrics:Volume"}}, "0.3", ratio_metrics=VOLUME)


def test_a_stranger_s_component_is_listed_without_being_imported(volume):
    entry = next(entry for entry in installed("metric") if entry.name == "volume")

    assert str(entry) == "volume (ratio 0.3)"
    assert entry.target == "ratio_metrics:Volume"
    assert "ratio_metrics" not in sys.modules


def test_components_are_listed_in_the_order_of_their_names(volume):
    names = [entry.name for entry in installed("metric")]

    assert names == sorted(names)
    assert {"dice", "hd95", "volume"} <= set(names)


def test_semiseg_s_own_components_come_by_the_same_groups():
    own = {entry.package for kind in GROUPS for entry in installed(kind)}

    assert "semiseg" in own


def test_loading_imports_the_one_that_is_asked_for(volume, distribution):
    distribution("other", {"semiseg.metrics": {"other": "other_metrics:Other"}}, other_metrics=VOLUME)

    assert load("metric", "volume").__name__ == "Volume"
    assert "ratio_metrics" in sys.modules
    assert "other_metrics" not in sys.modules


def test_an_unknown_name_is_answered_with_the_nearest_and_with_those_that_are_known(volume):
    with pytest.raises(ComponentError) as raised:
        find("metric", "volum", "recipes/x.yaml:12")

    said, known = str(raised.value).split("\n    Installed: ")
    assert said == "Unknown metric 'volum' (recipes/x.yaml:12). Did you mean 'volume'?"
    assert f"dice (semiseg {OWN}), hd (semiseg {OWN}), hd95 (semiseg {OWN})" in known
    assert known.endswith(f"volume (ratio 0.3), volume_difference (semiseg {OWN}).")
    assert raised.value.exit_code == 2


@pytest.mark.parametrize(("kind", "name", "meant"), [("backbone", "UNET", "unet"), ("metric", "Dice", "dice")])
def test_the_nearest_name_is_found_whatever_its_case(kind, name, meant):
    with pytest.raises(ComponentError, match=rf"Did you mean '{meant}'\?"):
        find(kind, name)


def test_a_name_unlike_any_other_gets_no_suggestion():
    with pytest.raises(ComponentError, match=r"^Unknown metric 'qqqq'\.\n    Installed: assd"):
        find("metric", "qqqq")


def test_a_former_name_that_another_package_uses_is_claimed_by_both(distribution):
    distribution("photos", {"semiseg.augmentations": {"paper": "photos:Paper"}}, photos="class Paper: ...")
    with pytest.raises(ComponentError, match=r"augmentation 'paper' is claimed by .*(photos 1.0|semiseg)"):
        find("augmentation", "paper")
    assert find("augmentation", "luque2023").package == "semiseg"


def test_a_name_claimed_by_two_packages_names_both(volume, distribution):
    distribution("ratio-two", {"semiseg.metrics": {"volume": "two:Volume"}}, "2.0", two=VOLUME)

    with pytest.raises(ComponentError) as raised:
        load("metric", "volume", "x.yaml:3")

    assert str(raised.value) == (
        "metric 'volume' is claimed by ratio 0.3 and ratio-two 2.0 (x.yaml:3).\n    Uninstall one of the packages."
    )


def test_a_plugin_that_cannot_be_imported_is_named_and_leaves_the_others_working(distribution, volume):
    distribution(
        "broken-metrics",
        {"semiseg.metrics": {"broken": "broken_module:Broken"}},
        broken_module="raise RuntimeError('no CUDA here')",
    )

    with pytest.raises(ComponentError) as raised:
        load("metric", "broken")

    assert str(raised.value) == (
        "metric broken (broken-metrics 1.0) cannot be imported: RuntimeError: no CUDA here.\n"
        "    Its entry point is 'broken_module:Broken'; `pip install --upgrade broken-metrics` may fix it."
    )
    assert isinstance(raised.value.__cause__, RuntimeError)
    assert load("metric", "volume").__name__ == "Volume"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import sys; sys.exit('no license')", "it ends the process (SystemExit: no license)"),
        ("exit()", "it ends the process (SystemExit)"),
        ("raise GeneratorExit", "GeneratorExit"),
    ],
)
def test_a_plugin_that_ends_the_process_is_named_as_any_other_that_fails(distribution, volume, source, said):
    distribution("quitter", {"semiseg.metrics": {"quitter": "quitting_module:Q"}}, quitting_module=source)

    with pytest.raises(
        ComponentError, match=rf"^metric quitter \(quitter 1\.0\) cannot be imported: {re.escape(said)}\."
    ):
        load("metric", "quitter")
    assert load("metric", "volume").__name__ == "Volume"


def test_what_a_plugin_prints_at_import_goes_to_standard_error(distribution, capfd):
    loud = 'import os, sys; print("one"); os.system("echo two"); sys.__stdout__.write("three\\n")'
    distribution("loud", {"semiseg.metrics": {"loud": "loud_metrics:Volume"}}, loud_metrics=f"{VOLUME}\n    {loud}")

    print("before")
    assert load("metric", "loud").__name__ == "Volume"
    print("after")

    out, error = capfd.readouterr()
    assert out == "before\nafter\n"
    assert sorted(error.split()) == ["one", "three", "two"]


@pytest.mark.parametrize(
    ("target", "cause"),
    [("nowhere_at_all:X", "ModuleNotFoundError"), ("ratio_metrics:Missing", "AttributeError")],
)
def test_an_entry_point_to_nothing_says_what_is_missing(distribution, volume, target, cause):
    distribution("lost", {"semiseg.metrics": {"lost": target}})

    with pytest.raises(ComponentError, match=rf"metric lost \(lost 1\.0\) cannot be imported: {cause}"):
        load("metric", "lost")


def test_a_plugin_without_what_it_requires_says_what_to_install(distribution):
    needs = ("semiseg>=0.2", "not-there-at-all>=3")
    lean = {"lean_m": "import not_there_at_all"}
    distribution("lean", {"semiseg.metrics": {"lean": "lean_m:X"}}, requires=needs, **lean)
    with pytest.raises(ComponentError) as raised:
        load("metric", "lean")
    assert str(raised.value) == (
        "metric lean (lean 1.0) cannot be imported: ModuleNotFoundError: No module named 'not_there_at_all'."
        " It requires not-there-at-all>=3, not installed.\n    Install it: pip install 'not-there-at-all>=3'"
    )


def test_a_component_of_another_kind_is_refused(distribution, volume):
    distribution("wrong", {"semiseg.metrics": {"wrong": "ratio_metrics:NotAMetric"}})

    with pytest.raises(ComponentError) as raised:
        load("metric", "wrong")

    assert str(raised.value) == (
        "metric wrong (wrong 1.0) is not a Metric: it is <class 'ratio_metrics.NotAMetric'>.\n"
        "    It has to be a subclass of semiseg.interfaces.metric.Metric."
    )


def test_options_that_are_not_component_options_are_refused(distribution, volume):
    distribution("loose", {"semiseg.metrics": {"loose": "ratio_metrics:LooseOptions"}})

    with pytest.raises(ComponentError, match=r"metric loose \(loose 1\.0\) has options that are not ComponentOptions"):
        load("metric", "loose")


def test_a_component_is_made_from_its_name_its_class_or_itself(volume):
    cls = load("metric", "volume")
    made = create("metric", "volume", {"scale": 2})

    assert made.options.scale == 2.0
    assert type(create("metric", cls)) is cls
    assert create("metric", made) is made


def test_what_is_neither_is_refused():
    with pytest.raises(ComponentError, match="metric 3 is not a Metric"):
        create("metric", 3)
    with pytest.raises(ComponentError, match="metric 'Metricks' is not a Metric"):
        create("metric", type("Metricks", (), {}))


def test_every_wrong_option_is_told_in_words(volume):
    with pytest.raises(ComponentError) as raised:
        create("metric", "volume", {"scale": 0, "skale": 1})

    assert [str(problem) for problem in raised.value.problems] == [
        "volume.scale must be more than 0, not 0.",
        "Unknown key 'volume.skale'. Did you mean 'scale'?\n    Options of volume: scale.",
    ]


def test_an_abstract_metric_stays_abstract():
    with pytest.raises(TypeError, match="abstract"):
        Metric()


class TestClassesFromPython:
    """A run's recipe has them as module:Class."""

    def test_one_that_is_imported_is_found(self):
        name = f"{Phantom.__module__}:{Phantom.__qualname__}"
        assert load("dataset", name) is Phantom

    @pytest.mark.parametrize("name", ["not.imported:Class", "semiseg.types:NoClass", "semiseg.types:"])
    def test_one_that_is_not_is_never_imported(self, name):
        with pytest.raises(
            ComponentError, match="was given as a class from Python, which this program has not imported"
        ):
            load("dataset", name, "recipe.yaml:3")
        assert "not.imported" not in sys.modules

    def test_one_of_another_kind_is_refused(self):
        with pytest.raises(ComponentError, match="is not a Dataset"):
            load("dataset", "semiseg.types:Volume")
