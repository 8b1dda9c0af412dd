import pytest

from semiseg.errors import RecipeError
from semiseg.recipe.overrides import apply_overrides
from semiseg.recipe.source_locations import Places
from semiseg.recipe.yaml import parse_yaml

RECIPE = """\
seed: 1
dataset: {name: brats, root: /data, label_map: {4: 3}}
backbone: unet
strategy:
  name: cps
  phi: 0.5
  wait_epochs: 15
  networks: {student_b: {name: unetr, dropout: 0.1}}
training: {epochs: 3, patch_size: [16, 16, 16]}
evaluation: {metrics: [dice, {name: hd95}]}
"""


def change(*overrides):
    data, places = parse_yaml(RECIPE, "x.yaml")
    notes = apply_overrides(data, places, overrides)
    return data, places, notes


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("[64,64,64]", [64, 64, 64]),
        ("null", None),
        ("", None),
        ("NO", "NO"),
        ("010", 10),
        ("{labeled: 1, unlabeled: 3}", {"labeled": 1, "unlabeled": 3}),
        ("a path with spaces/and: this", {"a path with spaces/and": "this"}),
        ("/data/set #2", "/data/set #2"),
        ("'12'", "12"),
        ("a=b", "a=b"),
        ("${ROOT}/x", "${ROOT}/x"),
    ],
)
def test_a_value_is_yaml_and_text_needs_no_quotes(text, value):
    data, _, notes = change(f"training.thing={text}")

    assert data["training"]["thing"] == value
    assert notes == []


def test_a_change_is_found_at_its_override():
    _, places, _ = change("training.epochs=9")

    assert places.where("training.epochs") == "--set training.epochs=9"
    assert places.where("training.patch_size") == "x.yaml:9"


def test_a_block_that_only_an_override_names_is_found_there():
    _, places, _ = change("trainin.checkpoint.minutes=9")

    assert places.where("trainin") == "--set trainin.checkpoint.minutes=9"
    assert places.where("trainin.checkpoint") == "--set trainin.checkpoint.minutes=9"


def test_a_replaced_block_forgets_the_lines_of_what_was_in_it():
    _, places, _ = change("training={epochs: 2}")

    assert places.where("training.epochs") == "--set training={epochs: 2}"


def test_numbers_are_positions_in_lists_and_keys_of_mappings():
    data, _, _ = change("training.patch_size.2=8", "dataset.label_map.4=2", "evaluation.metrics.1.policy=x")

    assert data["training"]["patch_size"] == [16, 16, 8]
    assert data["dataset"]["label_map"] == {4: 2}
    assert data["evaluation"]["metrics"][1] == {"name": "hd95", "policy": "x"}


def test_blocks_that_are_not_there_are_made():
    data, _, _ = change("preprocessing.normalize=none", "training.optimizer.lr=0.1")

    assert data["preprocessing"] == {"normalize": "none"}
    assert data["training"]["optimizer"] == {"lr": 0.1}


def test_a_component_given_by_its_bare_name_takes_options():
    data, _, _ = change("backbone.dropout=0.1")

    assert data["backbone"] == {"name": "unet", "dropout": 0.1}


def test_a_component_that_is_not_written_begins_with_the_default_one():
    data, _, _ = change("augmentation.flip_axes=[left-right]")

    assert data["augmentation"] == {"name": "luque2023", "flip_axes": ["left-right"]}


def test_another_strategy_drops_the_block_s_options_and_networks_and_says_so():
    data, _, notes = change("strategy.name=supervised")

    assert data["strategy"] == {"name": "supervised"}
    assert notes == [
        "--set strategy.name=supervised dropped strategy.phi=0.5, strategy.wait_epochs=15, "
        'strategy.networks={"student_b": {"name": "unetr", "dropout": 0.1}}'
    ]


def test_the_same_name_drops_nothing():
    data, _, notes = change("strategy.name=cps")

    assert data["strategy"]["phi"] == 0.5
    assert notes == []


def test_later_changes_apply_to_the_new_component_and_earlier_ones_go_with_the_old():
    data, _, notes = change("strategy.phi=1", "strategy.name=supervised", "strategy.loss=dice_ce")

    assert data["strategy"] == {"name": "supervised", "loss": "dice_ce"}
    assert notes[0].startswith("--set strategy.name=supervised dropped strategy.phi=1, ")


def test_an_option_that_is_set_again_is_not_said_to_be_dropped():
    said = "--set strategy.name=supervised dropped "
    _, _, notes = change("strategy.loss=dice_ce", "strategy.name=supervised")
    assert "strategy.loss" in notes[0]
    data, _, notes = change("strategy.loss=dice", "strategy.name=supervised", "strategy.loss=dice_ce")
    assert data["strategy"] == {"name": "supervised", "loss": "dice_ce"}
    assert notes[0].startswith(said)
    assert "strategy.loss" not in notes[0]
    assert change("backbone.dropout=0.1", "backbone=unetr", "backbone.dropout=0.2")[2] == []


def test_a_block_that_is_replaced_as_a_whole_says_what_it_drops():
    data, _, notes = change("strategy={name: supervised, loss: dice_ce}")
    assert data["strategy"] == {"name": "supervised", "loss": "dice_ce"}
    assert notes[0].startswith("--set strategy={name: supervised, loss: dice_ce} dropped strategy.phi=0.5, ")


@pytest.mark.parametrize("key", ["backbone", "backbone.name"])
def test_a_component_may_be_named_with_or_without_name(key):
    data, _, notes = change("backbone.dropout=0.1", f"{key}=unetr")

    assert data["backbone"] == {"name": "unetr"}
    assert notes == [f"--set {key}=unetr dropped backbone.dropout=0.1"]


def test_one_role_s_network_is_replaced_alone():
    data, _, notes = change("strategy.networks.student_b.name=vnet", "strategy.networks.student_a=unet")

    assert data["strategy"]["networks"] == {"student_b": {"name": "vnet"}, "student_a": {"name": "unet"}}
    assert data["strategy"]["phi"] == 0.5
    assert notes == ["--set strategy.networks.student_b.name=vnet dropped strategy.networks.student_b.dropout=0.1"]


@pytest.mark.parametrize("key", ["dataset", "augmentation"])
def test_datasets_and_augmentations_are_replaced_too(key):
    data, _, _ = change(f"{key}.name=other")

    assert data[key] == {"name": "other"}


def test_the_optimizer_s_name_is_a_key_like_any_other():
    data, _, notes = change("training.optimizer.lr=0.1", "training.optimizer.name=sgd")

    assert data["training"]["optimizer"] == {"lr": 0.1, "name": "sgd"}
    assert notes == []


def test_every_change_that_cannot_be_made_is_told():
    with pytest.raises(RecipeError) as raised:
        change(
            "training.epochs", "=3", "a..b=1", "seed.x=1", "training.patch_size.3=1", "training.patch_size.x=1",
            "training.epochs=[1",
        )  # fmt: skip

    example = "\n    Example: --set training.epochs=10"
    assert [str(problem) for problem in raised.value.problems] == [
        "--set training.epochs is not KEY=VALUE." + example,
        "--set =3 is not KEY=VALUE." + example,
        "--set a..b=1 is not KEY=VALUE." + example,
        "--set seed.x=1 cannot be set: seed is 1, not a block of keys.",
        "--set training.patch_size.3=1 cannot be set: training.patch_size is a list with positions 0 to 2.",
        "--set training.patch_size.x=1 cannot be set: training.patch_size is a list with positions 0 to 2.",
        "--set training.epochs=[1 is not YAML: while parsing a flow sequence: expected ',' or ']', but got"
        " '<stream end>'.",
    ]


def test_a_position_in_an_empty_list_is_refused():
    with pytest.raises(RecipeError, match=r"a is an empty list\."):
        apply_overrides({"a": []}, Places(), ["a.0=1"])
