"""Components under former names: same component, same hash, and a note."""

import hashlib

import pytest

import semiseg
from semiseg.augmentation.luque2023 import Luque2023Augmentation
from semiseg.cli.components import entries_named
from semiseg.errors import ComponentError
from semiseg.recipe.diff import changes, recipe_hash
from semiseg.registry import RENAMED, create, current_name, find, first_name, installed

NOTE = "augmentation 'paper' is now called 'luque2023': write the new name; the old one still works"
SMALL = {
    "name": "small",
    "dataset": {"name": "phantom", "cases": 4, "size": [32, 32, 32]},
    "split": {"test": 1, "validation": 1, "labeled": 1, "total": 2},
    "backbone": {"name": "unet", "channels": [2, 4], "strides": [2], "num_res_units": 0},
    "strategy": {"name": "supervised"},
    "training": {"epochs": 1, "examples_per_epoch": 2, "patch_size": [8, 8, 8], "workers": 0},
    "inference": {"overlap": 0.0},
}


def recipe(**augmentation):
    return semiseg.load_recipe({**SMALL, **({"augmentation": augmentation} if augmentation else {})})


def test_the_former_name_is_the_same_component():
    assert type(create("augmentation", "paper")) is Luque2023Augmentation
    assert find("augmentation", "paper") == find("augmentation", "luque2023")
    assert [entry.name for entry in entries_named("paper")] == ["luque2023"]


def test_only_the_former_name_gets_a_note():
    assert recipe(name="paper").notes == (NOTE,)
    assert recipe(name="luque2023").notes == recipe().notes == ()


def test_hashes_are_those_of_the_first_name_so_that_earlier_runs_go_on():
    old, new, default = recipe(name="paper", rotation=9), recipe(name="luque2023", rotation=9), recipe()

    assert recipe_hash(old) == recipe_hash(new) != recipe_hash(default)
    assert recipe_hash(recipe(name="paper")) == recipe_hash(default)
    assert changes(old, new) == []
    expected = hashlib.sha256(b'{"augmentation.name": "paper", "seed": 1}').hexdigest()
    assert recipe_hash({"augmentation": {"name": "luque2023"}, "seed": 1}) == expected
    assert recipe_hash({"augmentation": {"name": "paper"}, "seed": 1}) == expected


def test_other_values_and_kinds_are_left_as_they_are():
    data = {"name": "paper", "backbone": {"name": "paper"}, "evaluation": {"metrics": [{"name": "paper"}]}}
    assert [(change.key, change.new) for change in changes({"name": "x"}, data)] == [
        ("backbone.name", "paper"),
        ("evaluation.metrics", [{"name": "paper"}]),
    ]


@pytest.mark.parametrize("name", ["luque2023", "paper"])
def test_an_override_with_either_name_keeps_the_options(name):
    data = {**SMALL, "augmentation": {"name": "paper", "rotation": 9}}
    changed = semiseg.load_recipe(data, [f"augmentation.name={name}"])
    assert changed.augmentation.model_dump() == {"name": name, "rotation": 9}


def test_a_former_name_that_a_package_uses_is_refused(distribution):
    """Hashes of recipes do not distinguish the two: a resumed run would silently use the other one."""
    distribution("print", {"semiseg.augmentations": {"paper": "print_paper:Paper"}})
    with pytest.raises(ComponentError, match=r"'paper' is claimed by .*print 1\.0"):
        find("augmentation", "paper")


def test_a_run_goes_on_under_either_name(tmp_path):
    first = semiseg.run({**SMALL, "augmentation": {"name": "paper"}}, tmp_path / "run")
    again = semiseg.run(
        {**SMALL, "augmentation": {"name": "luque2023"}}, tmp_path / "run", resume=True, overrides=["training.epochs=2"]
    )
    assert first.folder == again.folder
    assert (tmp_path / "run/until-epoch-1").is_dir()


def test_current_names_are_installed_and_former_ones_are_not():
    for kind, names in RENAMED.items():
        known = {entry.name for entry in installed(kind)}
        assert {*names.values()} <= known
        assert not {*names} & known
        assert [first_name(kind, current_name(kind, name)) for name in names] == [*names]
