"""The uncertainty of voxels under each rule, by hand: two networks, three classes, four voxels."""

import math

import numpy as np
import pytest
import torch

from semiseg.acquisitions.disagreement import Disagreement
from semiseg.acquisitions.entropy import Entropy
from semiseg.codings.classes import CLASSES
from semiseg.codings.regions import Regions
from semiseg.interfaces.acquisition import Candidate

ONE = [(1, 0, 0), (0, 1, 0), (0.5, 0.5, 0), (1 / 3, 1 / 3, 1 / 3)]
OTHER = [(1, 0, 0), (1, 0, 0), (0.5, 0.5, 0), (1 / 3, 1 / 3, 1 / 3)]


def voxels(rows):
    """(K, 4, 1, 1) from one row a voxel."""
    return torch.tensor(rows, dtype=torch.float32).T.reshape(-1, len(rows), 1, 1)


def test_entropy_of_the_mean_prediction():
    found = Entropy().uncertainty([voxels(ONE), voxels(OTHER)], CLASSES)

    half = math.log(2) / math.log(3)  # of two classes with 1/2 each, of log 3
    torch.testing.assert_close(found.flatten(), torch.tensor([0, half, half, 1]))
    alone = Entropy().uncertainty([voxels(ONE)], CLASSES)
    torch.testing.assert_close(alone.flatten(), torch.tensor([0, 0, half, 1]))


def test_entropy_of_regions_is_the_mean_of_their_binary_entropies():
    regions = Regions([[1, 2], [2]], 3)
    found = Entropy().uncertainty([voxels([(1, 0.5), (0.5, 0.5), (0.25, 0), (1, 1)])], regions)

    quarter = -(0.25 * math.log2(0.25) + 0.75 * math.log2(0.75)) / 2
    torch.testing.assert_close(found.flatten(), torch.tensor([0.5, 1, quarter, 0]))


def test_disagreement_is_the_share_of_pairs_with_different_classes():
    members = [voxels(rows) for rows in (ONE, OTHER, [(0, 0, 1), (0, 0, 1), (1, 0, 0), (0, 1, 0)])]

    found = Disagreement().uncertainty(members[:2], CLASSES)
    np.testing.assert_array_equal(found.flatten(), [0, 1, 0, 0])
    # Of three pairs: 0 0 2; 1 0 2; 0 0 0 (the first of equals); 0 0 1.
    torch.testing.assert_close(
        Disagreement().uncertainty(members, CLASSES).flatten(), torch.tensor([2 / 3, 1, 0, 2 / 3])
    )


def test_disagreement_on_regions_is_about_the_classes_that_they_mean():
    regions = Regions([[1, 2], [2]], 3)
    one, other = voxels([(0.9, 0.6), (0.9, 0.1)]), voxels([(0.6, 0.9), (0.4, 0.1)])

    found = Disagreement().uncertainty([one, other], regions)
    np.testing.assert_array_equal(found.flatten(), [0, 1])


@pytest.mark.parametrize("rule", [Entropy, Disagreement])
def test_the_most_uncertain_come_first_and_cases_without_structures_before_them(rule):
    candidates = [
        Candidate("low", ("low",), 0.1),
        Candidate("b", ("b",), 0.7),
        Candidate("a", ("a",), 0.7),
        Candidate("partly", ("p1", "p2"), 0.2, ("p2",)),
        Candidate("nothing", ("nothing",), 0.0, ("nothing",)),
    ]
    chosen = rule().choose(candidates, 5, np.random.default_rng(0))

    assert [choice.candidate.patient for choice in chosen] == ["partly", "nothing", "a", "b", "low"]
    assert [choice.score for choice in chosen] == [0.2, 0.0, 0.7, 0.7, 0.1]
    assert [choice.reason for choice in chosen[:3]] == [
        "no network predicts any structure in 1 of 2 cases; mean uncertainty 0.200 per predicted foreground voxel in"
        " the others",
        "no network predicts any structure",
        "mean uncertainty 0.700 per predicted foreground voxel",
    ]
