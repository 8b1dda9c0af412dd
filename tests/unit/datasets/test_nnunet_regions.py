"""nnU-Net's labels that are lists of values: regions, names of single values, and regions_class_order."""

from itertools import product

import numpy as np
import pytest
import torch
from helpers_nnunet import BRATS_LABELS, write_regions
from hypothesis import given
from hypothesis import strategies as st

from semiseg.codings.regions import Regions
from semiseg.datasets._nnunet_labels import named_values, order_notes
from semiseg.datasets.nnunet import NnUNet


def read(root, **options):
    return NnUNet(NnUNet.Options(root=root, **options))


def theirs(inside, order):
    """The label of a voxel by nnU-Net's rule: each region writes its value over those before it."""
    label = 0
    for is_in, value in zip(inside, order, strict=True):
        label = value if is_in else label
    return label


def ours(inside, regions, values):
    members = [[values.index(value) for value in region] for region in regions]
    probabilities = torch.tensor(inside, dtype=torch.float32)[:, None]
    return values[int(Regions(members, len(values)).decide(probabilities))]


def test_the_labels_of_brats(tmp_path):
    dataset = read(write_regions(tmp_path))
    info = dataset.info()
    only = ("whole tumor only", "tumor core only", "enhancing tumor only")
    assert info.classes == ("background", *only)
    assert info.regions == {"whole tumor": only, "tumor core": only[1:], "enhancing tumor": only[2:]}
    assert dataset.notes() == (
        "dataset.json names regions, not single values: 1 is whole tumor only, 2 is tumor core only,"
        " 3 is enhancing tumor only; dataset.classes gives other names",
    )
    named = read(tmp_path, classes={"edema": 1, "necrosis": 2, "enhancing": 3})
    assert named.info().classes == ("background", "edema", "necrosis", "enhancing")
    assert named.info().regions["tumor core"] == ("necrosis", "enhancing")
    assert named.notes() == ()


def test_nested_regions_get_the_labels_of_nnunet(tmp_path):
    regions, order = [(1, 2, 3), (2, 3), (3,)], [1, 2, 3]
    for inside in product((0, 1), repeat=3):
        assert ours(inside, regions, [0, 1, 2, 3]) == theirs(inside, order)
    kits = {"kidney": (1, 2, 3), "masses": (2, 3), "tumor": (2,)}
    for inside in product((0, 1), repeat=3):
        assert ours(inside, list(kits.values()), [0, 1, 2, 3]) == theirs(inside, [1, 3, 2])
    names = named_values({"background": (0,), **kits}, {})[0]
    assert names == {0: "background", 1: "kidney only", 2: "tumor only", 3: "masses only"}
    assert list(order_notes([1, 3, 2], kits, names)) == []


def test_an_order_that_is_not_followed_is_noted(tmp_path):
    dataset = read(write_regions(tmp_path, regions_class_order=[1, 3, 2]))
    assert dataset.notes()[-1] == (
        "regions_class_order is not followed: if networks output regions, voxels in whole tumor and tumor core get the"
        " value 2 (tumor core only), where nnU-Net writes 3; 5 other sets of regions differ too"
    )
    assert "no regions_class_order" in read(write_regions(tmp_path, regions_class_order=None)).notes()[-1]


@st.composite
def labelings(draw):
    n = draw(st.integers(2, 4))
    values = st.sets(st.integers(1, n), min_size=1)
    regions = draw(st.lists(values, min_size=1, max_size=4))
    regions = [tuple(sorted(region)) for region in [*regions, set(range(1, n + 1))]]
    return n, regions, draw(st.lists(st.integers(1, n), min_size=len(regions), max_size=len(regions)))


@given(labelings())
def test_a_note_says_whether_some_set_of_regions_gets_another_label(labeling):
    n, regions, order = labeling
    values = list(range(n + 1))
    named = {f"r{place}": region for place, region in enumerate(regions)}
    differ = [
        inside
        for inside in product((0, 1), repeat=len(regions))
        if ours(inside, regions, values) != theirs(inside, order)
    ]
    names = {value: str(value) for value in values}
    assert bool(list(order_notes(order, named, names))) == bool(differ)


def test_values_that_no_region_tells_apart_have_numbers_in_their_names():
    labels = {"background": (0,), "all": (1, 2, 3), "left": (2, 4), "alone": (5,)}
    names, regions, derived = named_values(labels, {5: "five", 1: "left"})
    assert names == {
        0: "background",
        1: "all only (1)",
        2: "all and left only",
        3: "all only (3)",
        4: "left only",
        5: "five",
    }
    assert list(regions) == ["all", "left", "alone"]
    assert derived == (1, 2, 3, 4)


def test_lists_of_one_value_are_plain_labels():
    names, regions, derived = named_values({"background": (0,), "a": (2,), "b": (1,)}, {})
    assert (names, regions, derived) == ({0: "background", 1: "b", 2: "a"}, {}, ())


def test_ignored_voxels_and_regions(tmp_path):
    labels = {**BRATS_LABELS, "ignore": 4}
    dataset = read(write_regions(tmp_path, values=(0, 1, 2, 3, 4), labels=labels))
    assert dataset.info().ignore == 4
    assert set(np.unique(dataset.read_label(dataset.cases()[0]).array)) == {0, 1, 2, 3, 255}


@pytest.mark.parametrize("written", [{"1": "edema", "2": "core"}, None])
def test_names_written_by_the_export_are_read(tmp_path, written):
    dataset = read(write_regions(tmp_path, class_names=written))
    expected = ("edema", "core", "enhancing tumor only") if written else None
    assert dataset.info().classes[1:] == (expected or ("whole tumor only", "tumor core only", "enhancing tumor only"))
