"""The orders of candidates under rules with features, by hand: a few points on a line."""

import math

import numpy as np
import pytest

from semiseg.acquisitions.diversity import Diversity
from semiseg.acquisitions.hybrid import Hybrid, HybridOptions
from semiseg.acquisitions.random import Random
from semiseg.interfaces.acquisition import Candidate


def on_a_line(places, uncertainties=None):
    """Candidates with one feature; of all their places the standard deviation is given by hand below."""
    values = uncertainties or dict.fromkeys(places, 0.0)
    return [Candidate(name, (name,), values[name], (), np.array([float(x)])) for name, x in places.items()]


def names(choices):
    return "".join(choice.candidate.patient for choice in choices)


def chosen_by(rule, candidates, n, labeled=(), seed=0):
    return rule.choose(candidates, n, np.random.default_rng(seed), labeled)


def test_diversity_takes_the_candidate_farthest_from_its_nearest_center():
    candidates = on_a_line({"a": 0, "b": 1, "c": 4, "d": 9, "e": 10})

    found = chosen_by(Diversity(), candidates, 5, [np.array([0.0])])
    # Labeled at 0. e is farthest (10); then c, 4 from 0 and 6 from 10; then b and d, 1 away: b by name; a is at 0.
    assert names(found) == "ecbda"
    spread = np.std([0, 1, 4, 9, 10, 0])
    np.testing.assert_allclose([choice.score for choice in found], np.array([10, 4, 1, 1, 0]) / spread)
    assert found[0].reason == f"distance {10 / spread:.2f} to the nearest of 1 labeled case"
    assert found[1].reason == f"distance {4 / spread:.2f} to the nearest of 1 labeled case and 1 already suggested"


def test_diversity_without_labeled_cases_starts_with_the_most_typical():
    found = chosen_by(Diversity(), on_a_line({"a": 0, "b": 1, "c": 4, "d": 9, "e": 10}), 3)

    assert names(found) == "cea"  # the mean is 4.8; from 4, e is 6 away and a is 4
    assert found[0].reason.startswith("most typical of all: distance 0.")
    assert found[1].reason.endswith("to the nearest of 1 already suggested")


def test_diversity_gives_each_feature_the_same_weight_and_ignores_constant_ones():
    wide = [("a", 0, 0), ("b", 1000, 0), ("c", 0, 1), ("d", 1000, 1)]
    candidates = [Candidate(name, (name,), 0.0, (), np.array([x, y, 7.0])) for name, x, y in wide]

    found = chosen_by(Diversity(), candidates, 2, [np.array([0.0, 0.0, 7.0])])
    assert names(found) == "db"


def test_diversity_needs_features():
    with pytest.raises(ValueError, match="needs the features"):
        chosen_by(Diversity(), [Candidate("a", ("a",))], 1)


UNCERTAIN = {"a": 0.9, "b": 0.8, "c": 0.3, "d": 0.2, "e": 0.1, "f": 0.05}
APART = {"a": 0, "b": 0.1, "c": 10, "d": 10.1, "e": 20, "f": 30}


def test_hybrid_takes_the_most_uncertain_of_each_group():
    candidates = on_a_line(APART, UNCERTAIN)

    for seed in range(5):
        found = chosen_by(Hybrid(HybridOptions(pool=2)), candidates, 2, seed=seed)
        assert names(found) == "ac"  # of a, b, c, d, in two groups
    assert [choice.score for choice in found] == [0.9, 0.3]
    assert found[0].reason == (
        "mean uncertainty 0.900 per predicted foreground voxel; the most uncertain of a group of 2"
    )


def test_hybrid_clusters_only_the_most_uncertain():
    candidates = on_a_line(APART, UNCERTAIN)

    assert names(chosen_by(Hybrid(HybridOptions(pool=1)), candidates, 2)) == "ab"
    assert names(chosen_by(Hybrid(HybridOptions(pool=3)), candidates, 1)) == "a"
    assert names(chosen_by(Hybrid(HybridOptions(pool=4)), candidates, 6)) == "abcdef"


def test_hybrid_fills_up_with_the_most_uncertain_if_features_are_the_same():
    candidates = on_a_line({"a": 1, "b": 1, "c": 1, "d": 2}, {"a": 0.9, "b": 0.8, "c": 0.7, "d": 0.1})

    found = chosen_by(Hybrid(), candidates, 3)
    assert names(found) == "adb"
    assert found[1].reason.endswith("unlike all others of the most uncertain")
    assert found[2].reason.endswith("its group is already suggested")


def test_random_order_is_that_of_the_seed_and_has_no_score():
    candidates = [Candidate(name, (name,), 1.0) for name in "abcdefgh"]

    found = chosen_by(Random(), candidates, 3, seed=7)
    assert names(found) == "".join("abcdefgh"[i] for i in np.random.default_rng(7).permutation(8)[:3])
    assert all(math.isnan(choice.score) for choice in found)
    assert found[0].reason == "drawn at random from 8"
