"""The prefix by which names of weights differ from those of a network."""

import pytest

from semiseg.pipeline.initial_weights.prefixes import Prefix, find_prefix

OURS = ["encoder.0.weight", "encoder.0.bias", "encoder.1.weight", "encoder.1.bias", "head.weight", "head.bias"]


def below(prefix, names=OURS):
    return [prefix + name for name in names]


@pytest.mark.parametrize(
    ("theirs", "prefix"),
    [
        (OURS, Prefix()),
        (below("module."), Prefix("module.")),
        (below("module._orig_mod."), Prefix("module._orig_mod.")),
        ([*below("backbone."), "projector.0.weight", "projector.0.bias"], Prefix("backbone.")),
        ([name.removeprefix("encoder.") for name in OURS[:4]], Prefix("", "encoder.")),
        ([f"online.{name.removeprefix('encoder.')}" for name in OURS[:4]], Prefix("online.", "encoder.")),
        # Names as they are come first: a network within the network has the same names.
        (OURS[:4] + below("encoder.encoder.", ["0.weight"]), Prefix()),
        # One layer of another network, by chance: neither half of its names below the prefix, nor a quarter of ours.
        (["layer.3.weight", "layer.3.scale", "layer.3.shift", "layer.4.scale"], Prefix()),
        (["layer.norm.weight", *(f"layer.norm.{i}" for i in range(9))], Prefix()),
        (["other.weight"], Prefix()),
    ],
)
def test_the_prefix_that_most_names_agree_with_is_found(theirs, prefix):
    assert find_prefix(OURS, theirs, None) == prefix


def test_several_that_agree_alike_are_all_returned():
    found = find_prefix(OURS, below("student.") + below("teacher."), None)
    assert [prefix.removed for prefix in found] == ["student.", "teacher."]


def test_a_given_prefix_is_removed_and_only_what_is_added_is_found():
    theirs = below("student.") + below("teacher.")
    assert find_prefix(OURS, theirs, "teacher.") == Prefix("teacher.")
    assert find_prefix(OURS, ["teacher.0.weight", "student.0.weight"], "teacher.") == Prefix("teacher.", "encoder.")


def test_names_with_a_prefix():
    prefix = Prefix("a.", "b.")
    assert list(prefix.names(["a.x", "x", "a.y.z"])) == [("b.x", "a.x"), ("b.y.z", "a.y.z")]
    assert str(prefix) == "'a.' removed and 'b.' added"
    assert str(Prefix()) == ""
