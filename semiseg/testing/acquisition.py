"""Contract tests of rules that rank cases: subclass ``AcquisitionContract`` and provide an ``acquisition`` fixture.

Example::

    class TestMyRule(AcquisitionContract):
        @pytest.fixture
        def acquisition(self) -> Acquisition:
            return MyRule()
"""

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from semiseg.codings.classes import CLASSES
from semiseg.codings.coding import Coding
from semiseg.codings.regions import Regions
from semiseg.interfaces.acquisition import Acquisition, Candidate, Choice, Features

_SHAPE = (5, 4, 3)
_COUNT = 9


def make_members(count: int, outputs: int, seed: int = 0, shape: Sequence[int] = _SHAPE) -> list[Tensor]:
    """Return the class probabilities (K, x, y, z) of several networks, drawn at random."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.softmax(2 * torch.randn((outputs, *shape), generator=generator), dim=0) for _ in range(count)]


def make_candidates(count: int = _COUNT, features: int | None = 6) -> list[Candidate]:
    """Return candidates with different uncertainties and features; the sixth has a case without structures."""
    generator = np.random.default_rng(0)
    return [
        Candidate(
            f"patient_{index:02}",
            (f"case_{index:02}",),
            float(generator.random()),
            (f"case_{index:02}",) if index == 5 else (),
            None if features is None else generator.normal(size=features),
        )
        for index in range(count)
    ]


class AcquisitionContract:
    """Contract of every rule that ranks cases. The fixture ``acquisition`` returns the one under test."""

    random_order: ClassVar[bool] = False
    """Set to True for a rule that draws by chance: its order then has to depend on the seed."""

    @pytest.mark.parametrize("outputs", [2, 3, 4, 7, 14])
    def test_uncertainty_is_from_0_to_1(self, acquisition: Acquisition, outputs: int) -> None:
        """One float32 per voxel, for 2 to 14 classes, with as few networks as the rule needs and with more."""
        for more in (0, 1, 3):
            found = acquisition.uncertainty(make_members(_needs(acquisition) + more, outputs), CLASSES)
            _require_map(found)
            assert found.amax() > 0, "no voxel of random predictions is uncertain"

    def test_uncertainty_of_overlapping_regions_is_from_0_to_1(self, acquisition: Acquisition) -> None:
        """Also for outputs that do not exclude each other: three regions within each other."""
        members = [values.flip(0).cumsum(0).clamp(0, 1) for values in make_members(_needs(acquisition) + 1, 3)]
        _require_map(acquisition.uncertainty(members, _REGIONS))

    @pytest.mark.parametrize("coding", ["classes", "regions"])
    def test_voxels_of_which_all_are_certain_count_0(self, acquisition: Acquisition, coding: str) -> None:
        """All networks give the same class the probability 1, in each voxel another one."""
        labels = torch.arange(math.prod(_SHAPE)).view(_SHAPE) % 4
        certain, meant = torch.nn.functional.one_hot(labels, 4).movedim(-1, 0).float(), CLASSES
        codings: dict[str, tuple[Tensor, Coding]] = {
            "classes": (certain, meant),
            "regions": (certain[1:].flip(0).cumsum(0).flip(0), _REGIONS),
        }
        values, used = codings[coding]
        found = acquisition.uncertainty([values] * (_needs(acquisition) + 1), used)
        torch.testing.assert_close(found, torch.zeros(_SHAPE))

    def test_order_of_networks_does_not_matter(self, acquisition: Acquisition) -> None:
        """Their uncertainty is that of a set."""
        members = make_members(_needs(acquisition) + 2, 4)
        turned = acquisition.uncertainty([*members[1:], members[0]], CLASSES)
        torch.testing.assert_close(turned, acquisition.uncertainty(members, CLASSES), rtol=0, atol=1e-5)

    def test_pieces_of_an_image_give_the_whole(self, acquisition: Acquisition) -> None:
        """Images are processed piece by piece: a voxel's uncertainty depends on its own probabilities only."""
        members = make_members(_needs(acquisition) + 1, 3)
        whole = acquisition.uncertainty(members, CLASSES)
        parts = [acquisition.uncertainty([values[:, at] for values in members], CLASSES) for at in _HALVES]
        torch.testing.assert_close(torch.cat(parts), whole, rtol=0, atol=1e-6)

    def test_probabilities_are_not_written_to(self, acquisition: Acquisition) -> None:
        """The same probabilities give the proposed label map."""
        members = make_members(_needs(acquisition) + 1, 3)
        copies = [values.clone() for values in members]
        acquisition.uncertainty(members, CLASSES)
        for values, copy in zip(members, copies, strict=True):
            torch.testing.assert_close(values, copy, rtol=0, atol=0)

    def test_each_candidate_is_chosen_once(self, acquisition: Acquisition) -> None:
        """With ``n`` from 1 to more than there are, with labeled cases and without."""
        candidates = _candidates(acquisition)
        for n in (1, 2, _COUNT - 1, _COUNT, _COUNT + 5):
            for labeled in ((), _labeled(acquisition)):
                names = _order(acquisition, candidates, n, labeled=labeled)
                assert len(names) == len(set(names)) == min(n, _COUNT)
        assert set(_order(acquisition, candidates, _COUNT)) == {one.patient for one in candidates}
        assert _order(acquisition, [], 3) == []
        assert _order(acquisition, candidates[:1], 3) == [candidates[0].patient]

    def test_a_seed_gives_one_order(self, acquisition: Acquisition) -> None:
        """The generator is the only source of chance, and a rule that draws by chance uses it."""
        candidates = _candidates(acquisition)
        orders = [tuple(_order(acquisition, candidates, _COUNT, seed)) for seed in range(8) for _ in range(2)]
        assert orders[::2] == orders[1::2]
        assert not self.random_order or len(set(orders)) > 1, "the order does not depend on the seed"

    def test_order_of_candidates_does_not_matter(self, acquisition: Acquisition) -> None:
        """File systems list cases in any order."""
        candidates = _candidates(acquisition)
        expected = _order(acquisition, candidates, 4)
        assert _order(acquisition, candidates[::-1], 4) == expected
        assert _order(acquisition, [*candidates[4:], *candidates[:4]], 4) == expected

    def test_equal_candidates_have_one_order(self, acquisition: Acquisition) -> None:
        """Candidates that differ in nothing but their names are all chosen, the same way each time."""
        same = _candidates(acquisition)[0]
        candidates = [Candidate(name, (name,), same.uncertainty, (), same.features) for name in "dacb"]
        expected = _order(acquisition, candidates, 4)
        assert sorted(expected) == [*"abcd"]
        assert _order(acquisition, candidates[::-1], 4) == expected

    def test_reasons_are_given(self, acquisition: Acquisition) -> None:
        """Every choice has a reason in one line, and a score that is a number, or NaN for chance."""
        for choice in _choices(acquisition, _candidates(acquisition), _COUNT):
            assert choice.reason.strip()
            assert "\n" not in choice.reason
            assert not math.isinf(choice.score)

    def test_unknown_options_are_rejected(self, acquisition: Acquisition) -> None:
        """A misspelled option is an error."""
        with pytest.raises(ValidationError, match="no_such_option"):
            acquisition.Options.model_validate({"no_such_option": 1})


_REGIONS = Regions([[1, 2, 3], [2, 3], [3]], 4)
_HALVES = (slice(0, 2), slice(2, None))


def _needs(acquisition: Acquisition) -> int:
    """Return the number of networks that a rule needs; skips the check for a rule that needs no predictions."""
    if not acquisition.members:
        pytest.skip("the rule needs no predictions")
    return acquisition.members


def _require_map(found: Tensor) -> None:
    assert found.dtype == torch.float32
    assert found.shape == _SHAPE
    assert found.amin() >= 0
    assert found.amax() <= 1


def _candidates(acquisition: Acquisition) -> list[Candidate]:
    return make_candidates(features=6 if acquisition.uses_features else None)


def _labeled(acquisition: Acquisition) -> Sequence[Features]:
    return [*np.random.default_rng(1).normal(size=(3, 6))] if acquisition.uses_features else ()


def _choices(
    acquisition: Acquisition, candidates: Sequence[Candidate], n: int, seed: int = 0, labeled: Sequence[Features] = ()
) -> Sequence[Choice]:
    return acquisition.choose(candidates, n, np.random.default_rng(seed), labeled)


def _order(
    acquisition: Acquisition, candidates: Sequence[Candidate], n: int, seed: int = 0, labeled: Sequence[Features] = ()
) -> list[str]:
    return [choice.candidate.patient for choice in _choices(acquisition, candidates, n, seed, labeled)]
