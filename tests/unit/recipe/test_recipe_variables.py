from pathlib import Path

import pytest

from semiseg.errors import RecipeError
from semiseg.recipe.load import load_recipe


def dataset(edited, root, **options):
    lines = "".join(f"\n  {key}: {value}" for key, value in options.items())
    return load_recipe(edited("  root: /data", f"  root: {root}{lines}")).dataset.values


@pytest.fixture(autouse=True)
def variables(monkeypatch):
    monkeypatch.setenv("SHELF_ROOT", "/shelves")
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.delenv("NOWHERE", raising=False)
    monkeypatch.setenv("HOME", "/home/me")


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("${SHELF_ROOT}", "/shelves"),
        ("${SHELF_ROOT}/a/${SHELF_ROOT}", "/shelves/a/shelves"),
        ("${NOWHERE:-/default}/x", "/default/x"),
        ("${EMPTY:-/default}", "/default"),
        ("${SHELF_ROOT:-/default}", "/shelves"),
        ("~/scans", "/home/me/scans"),
        ("'~'", "/home/me"),
        ("/a/b/../c", "/a/c"),
        ("/a/~/b", "/a/~/b"),
        ("/a/$SHELF_ROOT", "/a/$SHELF_ROOT"),
    ],
)
def test_variables_and_the_home_folder_are_replaced_in_paths(edited, written, path):
    assert dataset(edited, written)["root"] == path


def test_paths_are_relative_to_the_current_folder(edited):
    assert dataset(edited, "scans/../more")["root"] == str(Path.cwd() / "more")


def test_text_of_the_dataset_is_replaced_too_and_words_beside_a_path_stay_words(edited):
    values = dataset(edited, "/data", note="see ${SHELF_ROOT}", cache="none")

    assert values["note"] == "see /shelves"
    assert values["cache"] == "none"


def test_other_text_is_left_alone(edited):
    assert load_recipe(edited("name: tiny", "name: ${SHELF_ROOT}x".replace("/", ""))).name == "${SHELF_ROOT}x"


def test_the_schema_s_own_path_is_replaced(edited):
    recipe = load_recipe(edited("  epochs: 3", "  epochs: 3\npreprocessing: {store: '${SHELF_ROOT}/store'}"))

    assert recipe.preprocessing.store == Path("/shelves/store")


def test_a_variable_that_is_not_set_is_named_with_key_and_line(edited):
    with pytest.raises(RecipeError) as raised:
        dataset(edited, "${NOWHERE}/x", note="'${EMPTY}'")

    assert [str(problem) for problem in raised.value.problems] == [
        "dataset.root (x.yaml:4) uses the environment variable NOWHERE, which is not set.\n"
        "    Set it (export NOWHERE=...), or give the value: --set dataset.root=...",
        "dataset.note (x.yaml:5) uses the environment variable EMPTY, which is not set.\n"
        "    Set it (export EMPTY=...), or give the value: --set dataset.note=...",
    ]


def test_an_override_comes_before_the_variable(edited):
    recipe = load_recipe(edited("  root: /data", "  root: ${NOWHERE}"), ["dataset.root=${SHELF_ROOT}/b"])

    assert recipe.dataset.values["root"] == "/shelves/b"


def test_nothing_is_replaced_where_no_data_are_needed(edited):
    recipe = load_recipe(edited("  root: /data", "  root: ${NOWHERE}/x"), expand=False)

    assert recipe.dataset.values["root"] == "${NOWHERE}/x"
