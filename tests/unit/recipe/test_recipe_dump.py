import hashlib
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ConfigDict

from semiseg.errors import ComponentError
from semiseg.interfaces.augmentation import Augmentation
from semiseg.interfaces.component import ComponentOptions
from semiseg.interfaces.dataset import Dataset
from semiseg.recipe.diff import Change, changes, data_paths, recipe_hash
from semiseg.recipe.dump import dump_recipe, resolved, to_yaml
from semiseg.recipe.load import load_recipe
from semiseg.recipe.yaml import parse_yaml


class Identity(Augmentation):
    def __call__(self, image, label, patch_size):
        return image, label


@pytest.fixture
def recipe(minimal):
    return load_recipe(minimal)


def test_a_dump_holds_the_defaults_of_the_recipe_and_of_every_component(recipe):
    data, _ = parse_yaml(dump_recipe(recipe), "dump")

    assert data["dataset"] == {"name": "shelf", "root": "/data", "label_map": {"4": 3}, "note": "", "cache": None}
    assert data["backbone"]["channels"] == [16, 32, 64, 128, 256]
    assert data["strategy"]["pseudo_loss"] == "dice"
    assert data["training"]["optimizer"]["lr"] == 5e-4
    assert data["evaluation"]["metrics"] == [{"name": "dice"}, {"name": "hd95", "kind": "maximum"}]
    assert data == resolved(recipe)


def test_a_dump_is_loaded_to_the_same_recipe(recipe, tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(dump_recipe(recipe))
    again = load_recipe(path, expand=False)

    assert dump_recipe(again) == dump_recipe(recipe)
    assert changes(recipe, again) == []
    assert recipe_hash(again) == recipe_hash(recipe)


def test_overridden_networks_are_dumped_with_their_defaults(edited):
    recipe = load_recipe(edited("  phi: 0.25", "  networks: {student_b: vnet}"))

    expected = {"name": "vnet", "dropout": 0.5, "upsampling": "transposed"}
    assert resolved(recipe)["strategy"]["networks"] == {"student_b": expected}


def test_a_dump_has_one_key_a_line_and_leaves_no_value_empty(recipe):
    lines = dump_recipe(recipe).splitlines()

    assert "  patch_size: [128, 128, 128]" in lines
    assert "  wait_epochs: null" in lines
    assert "  - name: hd95" in lines


TEXT = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=12)
LOOKS_LIKE = st.sampled_from(
    ["1e-4", "NO", "?0", "010", "null", "2024-01-01", "0x1F", "~", "=", "1_000", "a: b", "- a", "a #b"]
)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**20), 10**20)
VALUES = st.recursive(
    TEXT | LOOKS_LIKE | NUMBERS | st.booleans() | st.none(),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(TEXT | LOOKS_LIKE, below, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(TEXT, VALUES, max_size=4))
def test_whatever_is_written_is_read_back(data):
    assert parse_yaml(to_yaml(data), "dump")[0] == data


def test_components_given_in_python_are_dumped_by_module_and_class(recipe):
    for component in (Identity, Identity()):
        dumped = resolved(recipe.with_component("augmentation", component))

        assert dumped["augmentation"] == {"name": f"{__name__}:Identity"}


def test_a_written_recipe_can_be_compared_where_its_components_came_from_python(recipe):
    own = recipe.with_component("augmentation", Identity())
    written, _ = parse_yaml(dump_recipe(own), "dump")

    assert changes(written, own) == []
    assert changes(written, recipe)[0] == Change("augmentation.name", f"{__name__}:Identity", "mirror")


def test_changes_name_keys_with_old_and_new_value(minimal, recipe):
    other = load_recipe(minimal, ["seed=4", "training.epochs=5", "training.patch_size=[16,16,16]"])

    assert changes(recipe, other) == [
        Change("seed", 0, 4),
        Change("training.epochs", 3, 5),
        Change("training.patch_size", [128, 128, 128], [16, 16, 16]),
    ]
    assert recipe_hash(recipe) != recipe_hash(other)


def test_an_option_that_only_one_recipe_has_is_a_change(minimal, recipe):
    other = load_recipe(minimal, ["strategy.name=supervised"])

    found = {change.key: change for change in changes(recipe, other)}
    assert found["strategy.name"] == Change("strategy.name", "cps", "supervised")
    assert found["strategy.phi"] == Change("strategy.phi", 0.25, None)
    assert "strategy.loss" not in found


class Tables(Dataset):
    """Its tables are given as they are."""

    class Options(ComponentOptions):
        model_config = ConfigDict(arbitrary_types_allowed=True)

        table: np.ndarray
        more: Any = None

    info = cases = new_cases = read_image = read_label = read_geometry = None


def of_tables(recipe, **options):
    cls = type("Tables", (Tables,), {"__abstractmethods__": frozenset()})
    return recipe.with_component("dataset", cls, **options)


def test_an_array_is_written_by_its_digest_and_another_one_is_a_change(recipe):
    one = of_tables(recipe, table=np.zeros(5000), more=[torch.ones(2)])
    again = of_tables(recipe, table=np.zeros(5000), more=[torch.ones(2)])
    other = of_tables(recipe, table=np.arange(5000.0), more=[torch.ones(2)])
    data, _ = parse_yaml(dump_recipe(one), "dump")
    digest = hashlib.sha256(bytes(8 * 5000)).hexdigest()
    assert data["dataset"]["table"] == f"ndarray:float64 [5000] sha256:{digest}"
    assert changes(data, again) == []
    assert [change.key for change in changes(data, other)] == ["dataset.table"]


def test_an_option_that_no_text_stands_for_is_told_by_its_component(recipe):
    with pytest.raises(ComponentError, match="An option of the dataset Tables contains <object object at 0x"):
        dump_recipe(of_tables(recipe, table=np.zeros(2), more=object()))


def test_the_places_of_data_do_not_count_where_they_are_free(minimal, recipe):
    moved = load_recipe(minimal, ["dataset.root=/elsewhere", "dataset.cache=none"])
    paths = data_paths(recipe)
    assert paths == ["dataset.root"]
    assert recipe_hash(moved) != recipe_hash(recipe)
    assert recipe_hash(load_recipe(minimal, ["dataset.root=/elsewhere"]), paths) == recipe_hash(recipe, paths)
    assert recipe_hash(moved, paths) != recipe_hash(recipe, paths)


@pytest.mark.parametrize(
    "override",
    ["name=other", "training.workers=3", "training.checkpoint.minutes=1", "preprocessing.store=/tmp/store"],
)
def test_keys_that_cannot_change_a_result_are_left_out(minimal, recipe, override):
    other = load_recipe(minimal, [override])

    assert dump_recipe(other) != dump_recipe(recipe)
    assert changes(recipe, other) == []
    assert recipe_hash(other) == recipe_hash(recipe)


def test_a_default_that_is_written_out_is_no_change(edited, minimal):
    written = load_recipe(edited("  epochs: 3", "  epochs: 3\n  optimizer: {lr: 0.0005}\n  examples_per_epoch: 250.0"))

    assert changes(load_recipe(minimal), written) == []


def test_the_hash_does_not_depend_on_the_order_of_keys_or_the_way_numbers_are_written(write):
    head = "name: a\nsplit: {labeled: 1}\nbackbone: unet\ndataset: {name: shelf, root: /d}\n"
    one = load_recipe(write(head + "strategy: {name: cps, phi: 1, wait_share: 0.5}\n"))
    two = load_recipe(write("strategy: {wait_share: 5e-1, phi: 1.0, name: cps}\n" + head))

    assert recipe_hash(one) == recipe_hash(two)
    assert len(recipe_hash(one)) == 64


def test_recipes_of_earlier_versions_keep_their_hashes():
    # Runs, studies and comparisons identify a recipe by its hash: a new key alone must not change it.
    as_before = {"training.batch_size.fill": "trainings", "strategy.pseudo_mean": "each_stream"}
    quickstart = load_recipe("quickstart", [f"{key}={value}" for key, value in as_before.items()])
    assert recipe_hash(quickstart) == "725c6f515b2c61794f7323d2419ab96af5b57db6385744f8571937a8e7209346"  # 0.2.0
    earlier = resolved(quickstart)
    assert earlier["training"]["batch_size"].pop("fill") == "trainings"
    assert earlier["strategy"].pop("pseudo_mean") == "each_stream"
    assert recipe_hash(earlier) == recipe_hash(quickstart)
    assert not changes(earlier, quickstart)
    assert "slice_axis" not in dump_recipe(quickstart)
    for change in ("preprocessing.slice_axis=right", "training.outputs=regions"):
        changed = load_recipe("quickstart", [*(f"{key}={value}" for key, value in as_before.items()), change])
        assert recipe_hash(changed) != recipe_hash(quickstart)
        assert change.partition("=")[0].partition(".")[2] in dump_recipe(changed)
        assert parse_yaml(dump_recipe(changed), "dump")[0] == resolved(changed)


def test_a_newer_key_that_trains_otherwise_by_default_is_a_change_from_earlier_recipes():
    now = load_recipe("quickstart")
    earlier = resolved(now)
    assert earlier["training"]["batch_size"].pop("fill") == "stages"
    assert earlier["strategy"].pop("pseudo_mean") == "joint"
    assert {(change.key, change.old, change.new) for change in changes(earlier, now)} == {
        ("training.batch_size.fill", "trainings", "stages"),
        ("strategy.pseudo_mean", "each_stream", "joint"),
    }
    assert recipe_hash(earlier) != recipe_hash(now)


@pytest.mark.parametrize("fill", ["trainings", "stages", "always"])
@pytest.mark.parametrize("pseudo_mean", ["each_stream", "joint"])
def test_a_dumped_recipe_has_the_meaning_of_its_values_whatever_the_defaults(tmp_path, fill, pseudo_mean):
    recipe = load_recipe("quickstart", [f"training.batch_size.fill={fill}", f"strategy.pseudo_mean={pseudo_mean}"])
    path = tmp_path / "recipe.yaml"
    path.write_text(dump_recipe(recipe))
    again = load_recipe(path)
    assert again.training.batch_size == recipe.training.batch_size
    assert resolved(again) == resolved(recipe)
    assert recipe_hash(again) == recipe_hash(recipe)
    assert not changes(recipe, again)


def test_the_recipe_s_own_keys_of_a_dataset_are_written_only_if_they_are_set(tmp_path, monkeypatch):
    plain = load_recipe("quickstart")
    assert "pseudo" not in dump_recipe(plain).split("dataset:")[1].split("split:")[0]
    monkeypatch.setenv("PREDICTED", str(tmp_path))
    changes_made = ["dataset.pseudo_labels=${PREDICTED}/fold0", "dataset.pseudo_confidence=0.7"]
    changes_made += ['dataset.adopted=["${PREDICTED}/one", "${PREDICTED}/two"]']
    recipe = load_recipe("quickstart", changes_made)
    assert recipe.dataset.adopted == [tmp_path / "one", tmp_path / "two"]
    assert "dataset.adopted" in data_paths(recipe)
    assert recipe.dataset.pseudo_labels == tmp_path / "fold0"
    assert recipe_hash(recipe) != recipe_hash(plain)
    assert "dataset.pseudo_labels" in data_paths(recipe)
    assert "dataset.pseudo_labels" not in data_paths(plain)
    path = tmp_path / "recipe.yaml"
    path.write_text(dump_recipe(recipe))
    again = load_recipe(path)
    assert resolved(again) == resolved(recipe)
    assert resolved(again)["dataset"]["pseudo_labels"] == str(tmp_path / "fold0")
    assert recipe_hash(again) == recipe_hash(recipe)
    assert resolved(again)["dataset"]["adopted"] == [str(tmp_path / "one"), str(tmp_path / "two")]
    keys = ("adopted", "pseudo_labels", "pseudo_confidence")
    assert {change.key for change in changes(plain, recipe)} == {f"dataset.{key}" for key in keys}
    assert recipe.with_component("dataset", "phantom", pseudo_labels=tmp_path).dataset.pseudo_labels == tmp_path
