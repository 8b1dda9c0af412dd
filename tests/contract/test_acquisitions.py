"""The built-in rules that rank cases keep the contract; and the contract catches rules that do not."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from semiseg.acquisitions.disagreement import Disagreement
from semiseg.acquisitions.diversity import Diversity
from semiseg.acquisitions.entropy import Entropy
from semiseg.acquisitions.hybrid import Hybrid, HybridOptions
from semiseg.acquisitions.random import Random
from semiseg.interfaces.acquisition import Acquisition, Choice
from semiseg.testing.acquisition import AcquisitionContract


class TestRandom(AcquisitionContract):
    random_order = True

    @pytest.fixture
    def acquisition(self):
        return Random()


class TestEntropy(AcquisitionContract):
    @pytest.fixture
    def acquisition(self):
        return Entropy()


class TestDisagreement(AcquisitionContract):
    @pytest.fixture
    def acquisition(self):
        return Disagreement()


class TestDiversity(AcquisitionContract):
    @pytest.fixture
    def acquisition(self):
        return Diversity()


class TestHybrid(AcquisitionContract):
    @pytest.fixture(params=[1, 2, 4])
    def acquisition(self, request):
        return Hybrid(HybridOptions(pool=request.param))


class InBits(Entropy):
    """Not divided by its maximum: above 1 from 3 classes on."""

    def uncertainty(self, probabilities, coding):
        mean = torch.stack([*probabilities]).mean(0)
        return torch.special.entr(coding.states(mean[None])[0]).sum(1).mean(0) / math.log(2)


class OfTheFirst(Entropy):
    """Of one network, so that the order of networks decides."""

    def uncertainty(self, probabilities, coding):
        return super().uncertainty(probabilities[:1], coding)


class InDoublePrecision(Entropy):
    def uncertainty(self, probabilities, coding):
        return super().uncertainty(probabilities, coding).double()


class ComparedWithTheRest(Entropy):
    """Divided by the largest of the piece, so that pieces do not give the whole."""

    def uncertainty(self, probabilities, coding):
        found = super().uncertainty(probabilities, coding)
        return found / found.amax().clamp(min=1e-6)


class NeverCertain(Entropy):
    def uncertainty(self, probabilities, coding):
        return super().uncertainty(probabilities, coding).clamp(min=0.01)


class InPlace(Entropy):
    def uncertainty(self, probabilities, coding):
        first, *others = probabilities
        for values in others:
            first += values
        return super().uncertainty([first.div_(len(probabilities))], coding)


class AsListed(Acquisition):
    """In the order in which the cases are listed."""

    members = 0

    def choose(self, candidates, n, generator, labeled=()):
        return [Choice(one, math.nan, "listed") for one in candidates[:n]]


class OfItsOwnChance(AsListed):
    """Drawn, but not with the generator."""

    def choose(self, candidates, n, generator, labeled=()):
        drawn = np.random.default_rng().permutation(len(candidates))
        return [Choice(candidates[index], math.nan, "drawn") for index in drawn[:n]]


class Again(AsListed):
    """The first candidate, again and again."""

    def choose(self, candidates, n, generator, labeled=()):
        return [Choice(candidates[0], math.nan, "best")] * min(n, len(candidates)) if candidates else []


class WithoutReason(Entropy):
    def choose(self, candidates, n, generator, labeled=()):
        return [Choice(one.candidate, one.score, "") for one in super().choose(candidates, n, generator)]


@pytest.mark.parametrize(
    ("check", "rule", "arguments"),
    [
        ("test_uncertainty_is_from_0_to_1", InBits, (4,)),
        ("test_uncertainty_is_from_0_to_1", InDoublePrecision, (4,)),
        ("test_order_of_networks_does_not_matter", OfTheFirst, ()),
        ("test_pieces_of_an_image_give_the_whole", ComparedWithTheRest, ()),
        ("test_voxels_of_which_all_are_certain_count_0", NeverCertain, ("classes",)),
        ("test_probabilities_are_not_written_to", InPlace, ()),
        ("test_order_of_candidates_does_not_matter", AsListed, ()),
        ("test_equal_candidates_have_one_order", AsListed, ()),
        ("test_a_seed_gives_one_order", OfItsOwnChance, ()),
        ("test_each_candidate_is_chosen_once", Again, ()),
        ("test_reasons_are_given", WithoutReason, ()),
    ],
)
def test_the_contract_catches(check, rule, arguments):
    with pytest.raises(AssertionError):
        getattr(AcquisitionContract(), check)(rule(), *arguments)


def test_the_contract_catches_a_control_that_does_not_draw():
    declared = SimpleNamespace(random_order=True)
    with pytest.raises(AssertionError, match="does not depend on the seed"):
        AcquisitionContract.test_a_seed_gives_one_order(declared, Entropy())
    AcquisitionContract.test_a_seed_gives_one_order(declared, Random())


def test_a_rule_defines_what_it_says_that_it_needs():
    with pytest.raises(TypeError, match=r"Silent has members = 1, so it has to define `uncertainty`\."):
        type("Silent", (Acquisition,), {})
    with pytest.raises(TypeError, match=r"Silent has members = 0, so it has to define `choose`\."):
        type("Silent", (Acquisition,), {"members": 0})
