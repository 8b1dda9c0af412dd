"""Cases unlike the known ones, by hand and among exchangeable cases."""

import numpy as np
import pytest
from pydantic import ValidationError

from semiseg.quality.unlike import MOST_TRAINING, KnownCases, chosen


def known(features, patients=None):
    names = [f"c{n}" for n in range(len(features))]
    return KnownCases.of(names, patients or names, [np.atleast_1d(np.asarray(one, float)) for one in features])


def test_likeness_by_hand():
    """On a line at 0 to 11: the ends are farthest from their three nearest, (1 + 2 + 3) / 3, as are cases outside."""
    cases = known(range(12))
    assert cases.likeness(np.array([12.0])) == pytest.approx(3 / 13)
    assert cases.likeness(np.array([12.1])) == pytest.approx(1 / 13)
    assert cases.likeness(np.array([5.5])) == pytest.approx(13 / 13)
    assert cases.is_unlike(1 / 13)
    assert not cases.is_unlike(3 / 13)


def test_cases_of_a_patient_do_not_count_as_near_each_other():
    features = [*range(12), 30.0, 30.1, 30.2, 30.3]
    one_patient = [*map(str, range(12)), *["p"] * 4]
    assert known(features).is_unlike(known(features).likeness(np.array([40.0])))
    assert not known(features, one_patient).is_unlike(known(features, one_patient).likeness(np.array([40.0])))


def test_of_exchangeable_cases_few_are_unlike_and_far_ones_all_are():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 8)) * rng.uniform(0.1, 10, 8)
    cases = known(features)
    new = rng.normal(size=(300, 8)) * features.std(0)
    unlike = [cases.is_unlike(cases.likeness(one)) for one in new]
    assert np.mean(unlike) < 0.06
    assert all(cases.is_unlike(cases.likeness(one + 8 * features.std(0))) for one in new[:50])


def test_a_feature_that_never_varied_counts_once_it_does():
    features = np.random.default_rng(0).normal(size=(20, 3))
    features[:, 1] = 0
    cases = known(features)
    usual = features[0] + np.array([0.01, 0, 0.01])
    assert not cases.is_unlike(cases.likeness(usual))
    assert cases.is_unlike(cases.likeness(usual + np.array([0, 5, 0])))


def test_the_record_is_kept_as_text_and_damage_is_found():
    cases = known(np.random.default_rng(0).normal(size=(5, 4)))
    again = KnownCases.model_validate_json(cases.model_dump_json())
    assert again.likeness(np.zeros(4)) == cases.likeness(np.zeros(4))
    with pytest.raises(ValidationError, match="do not fit the cases"):
        KnownCases(cases=["a", "b"], patients=["a", "b"], values=cases.values[:4] + "====")


def test_many_training_cases_are_represented_by_some_of_them():
    assert chosen(range(7)) == [*range(7)]
    some = chosen(range(500))
    assert len(some) == MOST_TRAINING
    assert (some[0], some[-1]) == (0, 499)
    assert len(set(np.diff(some))) <= 2
