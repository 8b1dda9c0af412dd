import json
from pathlib import Path

import pytest
from jsonschema import Draft7Validator

from semiseg.recipe.jsonschema import recipe_schema
from semiseg.recipe.load import load_recipe
from semiseg.recipe.yaml import parse_yaml, read_yaml

RECIPES = sorted(
    path for path in (Path(__file__).parents[3] / "recipes").glob("*.yaml") if not path.stem.endswith("_study")
)


@pytest.fixture
def schema():
    return recipe_schema()


@pytest.fixture
def faults(schema, fakes):
    def of(path):
        return [error.message for error in Draft7Validator(schema).iter_errors(read_yaml(Path(path))[0])]

    return of


def test_recipes_are_shipped():
    assert RECIPES


def test_it_is_a_draft_7_schema_without_later_words(schema):
    Draft7Validator.check_schema(schema)

    text = json.dumps(schema)
    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert not [word for word in ("$defs", "prefixItems", "unevaluated", "dependentRequired") if f'"{word}' in text]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_shipped_recipes_fit_it_and_load(faults, path):
    assert faults(path) == []
    assert load_recipe(path, expand=False).name == path.stem


def test_a_small_recipe_fits_it(faults, minimal):
    assert faults(minimal) == []


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("  epochs: 3", "  epohcs: 3", "epohcs"),
        ("  epochs: 3", "  patch_size: [8]", "[8]"),
        ("  epochs: 3", "  patch_size: [8, 8, 8, 8]", "[8, 8, 8, 8]"),
        ("  phi: 0.25", "  phy: 0.25", "strategy"),
        ("  phi: 0.25", "  phi: -1", "strategy"),
        ("  phi: 0.25", "  networks: {student_a: nonet}", "nonet"),
        ("  root: /data", "  rot: /data", "shelf"),
        ("backbone: unet", "backbone: unett", "unett"),
        ("augmentation: mirror", "augmentation: {name: mirror, axis: 1}", "axis"),
        ("  epochs: 3", "  epochs: 3\nevaluation: {metrics: [dise]}", "dise"),
        ("  epochs: 3", "  epochs: 3\nevaluation: {metrics: []}", "metrics"),
    ],
)
def test_what_loading_refuses_does_not_fit_it(faults, edited, old, new, word):
    assert faults(edited(old, new)), word


@pytest.mark.parametrize(
    "new",
    [
        "  networks: {student_a: vnet, student_b: {name: unet, channels: [8, 16], strides: [2]}}",
        "  phi: 0.25\n  loss: dice_ce",
    ],
)
def test_what_loading_takes_fits_it(faults, edited, new):
    path = edited("  phi: 0.25", new)

    assert faults(path) == []
    assert load_recipe(path).strategy.name == "cps"


def test_options_of_other_packages_are_described(schema):
    cases = schema["definitions"]["dataset"]["anyOf"][1]["allOf"]
    shelf = next(case["then"] for case in cases if case["if"]["properties"]["name"]["const"] == "shelf")

    assert shelf["properties"]["root"]["description"] == "Folder of the shelf."
    assert shelf["required"] == ["root"]
    assert shelf["additionalProperties"] is False


def test_descriptions_of_blocks_stay_beside_their_references(schema):
    assert schema["properties"]["dataset"] == {
        "allOf": [{"$ref": "#/definitions/dataset"}],
        "description": "The source of the cases.",
    }


@pytest.mark.parametrize(("total", "fits"), [("all", True), ("labeled", True), (3, True), ("unlabeled", False)])
def test_the_total_is_a_number_or_a_word(schema, total, fits):
    split = {"labeled": 2, "total": total}
    recipe = {"name": "x", "dataset": "phantom", "split": split, "strategy": "cps", "backbone": "unet"}
    assert Draft7Validator(schema).is_valid(recipe) == fits


def test_every_dataset_may_have_the_recipe_s_own_keys(schema):
    validator = Draft7Validator(schema)
    data = {"name": "phantom", "pseudo_labels": "predicted", "pseudo_confidence": 0.5}
    recipe = {"name": "x", "dataset": data, "split": {"labeled": 1}, "strategy": "cps", "backbone": "unet"}
    assert validator.is_valid(recipe)
    assert not validator.is_valid({**recipe, "dataset": {**data, "pseudo_confidence": 2}})
    assert not validator.is_valid({**recipe, "dataset": {**data, "pseudo_label": "predicted"}})


def test_a_broken_plugin_is_offered_by_name_and_leaves_the_others_described(distribution, write):
    distribution("semiseg-broken", {"semiseg.backbones": {"broken": "nowhere_at_all:X"}})
    validator = Draft7Validator(recipe_schema())
    recipe = (
        "name: x\ndataset: {name: shelf, root: /}\nsplit: {labeled: 1}\nstrategy: cps\nbackbone: {name: %s, q: 1}\n"
    )

    assert validator.is_valid(parse_yaml(recipe % "broken", "x")[0])
    assert not validator.is_valid(parse_yaml(recipe % "unet", "x")[0])
