import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semiseg.errors import RecipeError
from semiseg.recipe.yaml import parse_yaml, read_yaml


def refusal(text):
    with pytest.raises(RecipeError) as raised:
        parse_yaml(text, "x.yaml")
    return [str(problem) for problem in raised.value.problems]


# The examples of the YAML 1.2.2 specification, 10.3.2, and what YAML 1.1 reads otherwise.
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("5.0e-4", 5e-4),
        ("12e03", 12000.0),
        ("-2E+05", -200000.0),
        ("+12.3", 12.3),
        (".5", 0.5),
        ("5.", 5.0),
        ("0.", 0.0),
        ("-0.0", 0.0),
        ("0", 0),
        ("-19", -19),
        ("010", 10),
        ("0o7", 7),
        ("0x3A", 58),
        ("true", True),
        ("FALSE", False),
        ("null", None),
        ("~", None),
        ("", None),
        (".inf", math.inf),
        ("-.Inf", -math.inf),
        ("+.INF", math.inf),
        ("NO", "NO"),
        ("yes", "yes"),
        ("on", "on"),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        ("=", "="),
        ("e5", "e5"),
        (".", "."),
        ("'1'", "1"),
        ('"null"', "null"),
        ("${HOME}/x", "${HOME}/x"),
        ("|\n  1\n", "1\n"),
    ],
)
def test_scalars_have_their_meaning_by_yaml_1_2(text, value):
    read = parse_yaml(f"key: {text}", "x.yaml")[0]["key"]

    assert (read, type(read)) == (value, type(value))


def test_nan_is_a_number_too():
    assert math.isnan(parse_yaml(".nan", "x.yaml")[0])


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_that_python_writes_is_read_back(number):
    assert parse_yaml(repr(number), "x.yaml")[0] == number


def test_keys_of_mappings_may_be_numbers():
    assert parse_yaml("label_map: {4: 3}", "x.yaml")[0] == {"label_map": {4: 3}}


def test_every_key_and_item_knows_its_line():
    _, places = parse_yaml("a: 1\nb:\n  - x\n  - c: 2\n    d: {e: 3}\n", "x.yaml")

    assert [places.where(key) for key in ("a", "b.0", "b.1.c", "b.1.d.e", "b.1.d.nothing", "nothing")] == [
        "x.yaml:1", "x.yaml:3", "x.yaml:4", "x.yaml:5", "x.yaml:5", "x.yaml",
    ]  # fmt: skip


def test_a_duplicate_key_is_named_with_both_lines():
    assert refusal("training:\n  epochs: 1\n  epochs: 2\n") == [
        "Duplicate key 'epochs' (x.yaml:2 and x.yaml:3).\n    Remove one of the two."
    ]


def test_the_same_key_in_two_blocks_is_no_duplicate():
    assert parse_yaml("a: {name: 1}\nb: {name: 1}", "x.yaml")[0] == {"a": {"name": 1}, "b": {"name": 1}}


def test_everything_that_is_refused_is_told_at_once_with_its_line():
    text = "a: &x 1\nb: *x\nc: !!python/object/apply:os.system [ls]\nd: !lab 3\n<<: {e: 1}\n? [f]\n: 1\n"

    assert refusal(text) == [
        "x.yaml:1 uses an anchor (&x).\n    Write the value out where it is needed.",
        "x.yaml:2 uses an alias (*x).\n    Write the value out.",
        "x.yaml:3 uses a tag (tag:yaml.org,2002:python/object/apply:os.system).\n"
        "    Remove it: recipes contain plain values only.",
        "x.yaml:4 uses a tag (!lab).\n    Remove it: recipes contain plain values only.",
        "x.yaml:5 uses a merge key (<<).\n    Write the values out.",
        "x.yaml:6 uses a list or a block as a key.\n    Keys must be words or numbers.",
    ]


def test_a_billion_laughs_are_refused_before_they_grow():
    lines = ["a: &a [x, x]"] + [f"{b}: &{b} [*{a}, *{a}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True)]

    assert len(refusal("\n".join(lines))) == 1 + 8 * 3


def test_a_second_document_is_refused():
    assert refusal("a: 1\n---\nb: 2\n") == [
        "x.yaml:3 starts a second document.\n    Put each recipe into its own file."
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\n b: 2\n", "x.yaml:2 is not YAML: mapping values are not allowed here."),
        ("a: [1\nb: 2", "x.yaml:2 is not YAML: while parsing a flow sequence: expected ',' or ']', but got ':'."),
        ("a: 1\n\tb: 2", "x.yaml:2 is not YAML: while scanning for the next token: found character '\\t' that"),
        ("a: \x01", "x.yaml is not YAML: unacceptable character #x0001"),
        ("[" * 60 + "]" * 60, "x.yaml:1 is nested deeper than 50 levels."),
    ],
)
def test_what_is_not_yaml_is_told_with_its_line(text, message):
    (problem,) = refusal(text)

    assert problem.startswith(message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "{path} is empty.\n    `semiseg init FOLDER` writes a recipe for a folder of images."),
        (b"# nothing\n", "{path} is empty.\n    `semiseg init FOLDER` writes a recipe for a folder of images."),
        (b"- a\n", "{path} must contain keys with values, such as `name: my_run`; it contains a list."),
        (b"a\n", "{path} must contain keys with values, such as `name: my_run`; it contains a single value."),
        (b"name: \xff\n", "{path} cannot be read: it is not UTF-8 text (byte 6)."),
    ],
)
def test_a_file_that_is_no_recipe_is_named(tmp_path, content, message):
    path = tmp_path / "x.yaml"
    path.write_bytes(content)

    with pytest.raises(RecipeError) as raised:
        read_yaml(path)

    assert str(raised.value) == message.format(path=path)


def test_a_file_that_cannot_be_opened_is_named(tmp_path):
    with pytest.raises(RecipeError, match=r"^nowhere\.yaml cannot be read: No such file or directory\.$"):
        read_yaml(Path("nowhere.yaml"))
    with pytest.raises(RecipeError, match="cannot be read: Is a directory"):
        read_yaml(tmp_path)


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_bytes(b"\xef\xbb\xbfname: x\n")

    assert read_yaml(path)[0] == {"name": "x"}


@pytest.mark.parametrize("number", ["9" * 5000, "0x" + "f" * 100_000, "0o" + "7" * 5000, "+" + "1" * 41])
@pytest.mark.parametrize("text", ["a: 1\nb: {}", "a: 1\nb: [2, {}]"])
def test_a_whole_number_of_many_digits_is_refused_with_its_line(number, text):
    (said,) = refusal(text.format(number))
    assert said.startswith(f"x.yaml:2 contains a whole number with {len(number):,} digits, {number[:20]}…")
    assert len(said) < 200


def test_a_key_of_many_digits_is_refused_with_its_line():
    (said,) = refusal("a: 1\n" + "9" * 41 + ": b")
    assert said.startswith("x.yaml:2 contains a whole number with 41 digits, ")


def test_a_whole_number_is_as_long_as_it_is_written_without_the_zeros_before_it():
    assert parse_yaml("a: " + "0" * 100 + "7" + "\nb: " + "9" * 40, "x.yaml")[0] == {"a": 7, "b": 10**40 - 1}
    assert parse_yaml("a: '" + "9" * 5000 + "'", "x.yaml")[0] == {"a": "9" * 5000}


@pytest.mark.parametrize("text", ['name: "a\\ud800"', '"\\udfff": 1', 'a: ["\\ud83d\\ude00"]'])
def test_text_that_no_file_can_hold_is_refused_with_its_line(text):
    (said,) = refusal(text)
    assert said.startswith("x.yaml:1 contains '")
    assert "which is not text: an unpaired surrogate" in said
    said.encode()


def test_a_character_beyond_the_first_plane_is_text():
    assert parse_yaml('a: "\\U0001F600 é\\n"', "x.yaml")[0] == {"a": "\U0001f600 é\n"}
