"""Label values of an exported dataset, and the lists of regions that nnU-Net reads."""

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from semiseg.codings.regions import Regions
from semiseg.errors import DataError
from semiseg.export.nnunet_labels import nnunet_labels
from semiseg.types import IGNORED, DatasetInfo

BRATS = ("background", "necrosis", "edema", "enhancing")


def info(classes, values, ignore=None, more=()):
    label_map = {value: index for index, value in enumerate(values)} | dict(more)
    return DatasetInfo("x", ("t1",), classes, label_map, values, ignore=ignore)


def test_classes_get_consecutive_values_and_ignored_voxels_the_next():
    labels = nnunet_labels(info(BRATS, (0, 1, 2, 4), ignore=9), {})
    assert labels.manifest == {"labels": {"background": 0, "necrosis": 1, "edema": 2, "enhancing": 3, "ignore": 4}}
    found = labels.of(np.array([0, 1, 2, 3, IGNORED], np.uint8))
    assert (found.tolist(), found.dtype) == ([0, 1, 2, 3, 4], np.uint8)


@pytest.mark.parametrize(
    ("values", "ignore", "more", "keeps"),
    [
        ((0, 1, 2, 3), None, {}, True),
        ((0, 1, 2, 3), 4, {}, True),
        ((0, 1, 2, 3), 5, {}, False),
        ((0, 1, 2, 4), None, {}, False),
        ((0, 1, 2, 3), None, {4: 3}, False),
        ((0, 2, 1, 3), None, {}, False),
    ],
)
def test_files_keep_their_values_only_if_all_are_nnunet_s(values, ignore, more, keeps):
    dataset = info(BRATS, values, ignore, more)
    assert nnunet_labels(dataset, {}).keeps(dataset) is keeps


def test_regions_are_lists_of_values_from_the_largest():
    regions = {"enhancing tumor": (3,), "whole tumor": (1, 2, 3), "tumor core": (1, 3)}
    labels = nnunet_labels(info(BRATS, (0, 1, 2, 4)), regions)
    assert list(labels.manifest["labels"].items()) == [
        ("background", 0),
        ("whole tumor", [1, 2, 3]),
        ("tumor core", [1, 3]),
        ("enhancing tumor", [3]),
    ]
    assert labels.manifest["regions_class_order"] == [2, 1, 3]
    assert labels.manifest["class_names"] == {"1": "necrosis", "2": "edema", "3": "enhancing"}
    assert labels.notes == ()


def test_a_class_outside_all_regions_becomes_background():
    labels = nnunet_labels(info(BRATS, (0, 1, 2, 4), ignore=5), {"core": (1, 3), "inner": (3,)})
    assert labels.values == (0, 1, 0, 2)
    assert labels.manifest["labels"] == {"background": 0, "core": [1, 2], "inner": [2], "ignore": 3}
    assert labels.notes == ("no region contains edema, which becomes background",)


def test_what_nnunet_cannot_tell_apart_is_noted():
    labels = nnunet_labels(info(BRATS, (0, 1, 2, 3)), {"all": (1, 2, 3), "one": (3,)})
    assert labels.manifest["regions_class_order"] == [1, 3]
    assert labels.notes == ("nnU-Net cannot tell 1, 2 apart, whose last region is all",)
    single = nnunet_labels(info(BRATS, (0, 1, 2, 3)), {"a": (1,), "b": (2,), "c": (3,)})
    assert single.notes == ("each region is one class, so that nnU-Net trains on classes",)


@given(st.permutations([(1, 2, 3, 4), (2, 3, 4), (3, 4), (4,)]))
def test_nested_regions_in_any_order_are_decided_as_here(regions):
    classes = ("background", "a", "b", "c", "d")
    labels = nnunet_labels(info(classes, (0, 1, 2, 3, 4)), {f"r{region[0]}": region for region in regions})
    ordered = [region for name, region in labels.manifest["labels"].items() if name != "background"]
    coding = Regions(ordered, len(classes))
    for inside in product((0, 1), repeat=4):
        theirs = 0
        for is_in, value in zip(inside, labels.manifest["regions_class_order"], strict=True):
            theirs = value if is_in else theirs
        assert int(coding.decide(torch.tensor(inside, dtype=torch.float32)[:, None])) == theirs


def test_names_with_another_meaning_are_refused():
    with pytest.raises(DataError, match="class ignore: has another meaning in nnU-Net"):
        nnunet_labels(info(("background", "ignore"), (0, 1)), {})
