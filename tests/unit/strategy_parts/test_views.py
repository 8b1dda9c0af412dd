import pytest
import torch

from semiseg.interfaces.batch import Step
from semiseg.strategy_parts.flips import draw_flips, flip
from semiseg.strategy_parts.views import strong_view

STEP = Step(3, 100, 10, seed=5)
SLOTS = (4, 7, 9)


def images(seed=0, dtype=torch.float32):
    """Three samples of two channels in standard scores, half of the voxels background."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn((3, 2, 12, 10, 8), generator=generator, dtype=dtype)
    drawn[:, :, :6] = 0
    return drawn


def test_background_stays_zero_and_the_rest_changes():
    before = images()
    kept = before.clone()
    view = strong_view(before, SLOTS, STEP, "view")
    assert torch.equal(before, kept)
    assert (view[before == 0] == 0).all()
    assert (view[before != 0] != before[before != 0]).float().mean() > 0.99
    assert torch.isfinite(view).all()


def test_a_view_depends_on_seed_step_slot_and_name_alone():
    before = images()
    view = strong_view(before, SLOTS, STEP, "view", cut_out=0.5)
    assert torch.equal(strong_view(before[1:2], SLOTS[1:2], STEP, "view", cut_out=0.5), view[1:2])
    for step, name, slots in (
        (Step(4, 100, 10, seed=5), "view", SLOTS),
        (Step(3, 100, 10, seed=6), "view", SLOTS),
        (STEP, "other", SLOTS),
        (STEP, "view", (1, 2, 3)),
    ):
        assert not torch.isclose(strong_view(before, slots, step, name), view).flatten(1).all(1).any()


def test_changes_stay_in_their_ranges():
    """Of a channel with mean 0 and deviation 1: the view's mean and deviation, over many draws."""
    one = torch.randn((1, 1, 16, 16, 16), generator=torch.Generator().manual_seed(0)).expand(200, 1, 16, 16, 16)
    for strength in (0.5, 1.0):
        view = strong_view(one, range(200), STEP, "view", strength).flatten(1)
        deviations = view.std(1)
        assert 0.35**strength < deviations.min() < 0.8**strength
        assert 1.3**strength < deviations.max() < 2.8**strength
    assert torch.equal(strong_view(one, range(200), STEP, "view", 0.0), one)


@pytest.mark.parametrize("value", [0.0, 1.5])
def test_an_empty_or_constant_channel_stays_finite(value):
    before = images()
    before[1, 0] = value
    view = strong_view(before, SLOTS, STEP, "view")
    assert torch.isfinite(view).all()
    assert value or (view[1, 0] == 0).all()


def test_the_box_is_cut_from_all_channels_and_no_longer_than_asked():
    before = torch.ones((40, 2, 10, 10, 10))
    view = strong_view(before, range(40), STEP, "view", strength=0, cut_out=0.5)
    cut = view == 0
    assert torch.equal(cut[:, 0], cut[:, 1])
    assert torch.equal(view[~cut], before[~cut])
    for axis in (1, 2, 3):
        length = cut[:, 0].any(dim=tuple({1, 2, 3} - {axis})).sum(1)
        assert length.max() == 5
        assert length.min() < 5
    sides = [cut[:, 0].any(dim=tuple({1, 2, 3} - {axis})).sum(1) for axis in (1, 2, 3)]
    assert torch.equal(cut[:, 0].flatten(1).sum(1), sides[0] * sides[1] * sides[2])


def test_in_2d_the_box_is_a_rectangle_and_background_stays_zero():
    before = torch.ones((40, 2, 10, 20))
    view = strong_view(before, range(40), STEP, "view", strength=0, cut_out=0.5)
    cut = view == 0
    assert torch.equal(cut[:, 0], cut[:, 1])
    sides = cut[:, 0].any(dim=2).sum(1), cut[:, 0].any(dim=1).sum(1)
    assert (int(sides[0].max()), int(sides[1].max())) == (5, 10)
    assert torch.equal(cut[:, 0].flatten(1).sum(1), sides[0] * sides[1])
    slices = images()[..., 0]
    changed = strong_view(slices, SLOTS, STEP, "view")
    assert (changed[slices == 0] == 0).all()
    assert (changed[slices != 0] != slices[slices != 0]).float().mean() > 0.99


def test_in_2d_two_axes_are_flipped_and_never_channels():
    slices = images()[..., 0]
    flips = draw_flips(range(3), STEP, "flips", slices.dim() - 2)
    assert flips.shape == (3, 2)
    assert torch.equal(flip(flip(slices, flips), flips), slices)
    by_hand = torch.tensor([[True, False], [False, False], [True, True]])
    assert torch.equal(flip(slices, by_hand), torch.stack([slices[0].flip(1), slices[1], slices[2].flip(1, 2)]))


def test_a_flip_undoes_itself_for_images_outputs_and_labels():
    flips = draw_flips(SLOTS, STEP, "flips")
    for volumes in (images(), images()[:, 0], torch.arange(3 * 24).reshape(3, 2, 3, 4)):
        assert torch.equal(flip(flip(volumes, flips), flips), volumes)
    assert torch.equal(draw_flips(SLOTS[1:], STEP, "flips"), flips[1:])


def test_each_sample_is_flipped_along_its_own_axes():
    volumes = images()
    flips = torch.tensor([[True, False, False], [False, False, False], [False, True, True]])
    expected = [volumes[0].flip(1), volumes[1], volumes[2].flip(2, 3)]
    assert torch.equal(flip(volumes, flips), torch.stack(expected))


def test_axes_are_flipped_half_of_the_time():
    assert draw_flips(range(2000), STEP, "flips").float().mean(0).tolist() == pytest.approx([0.5] * 3, abs=0.05)


def test_no_samples_give_no_views():
    none = images()[:0]
    assert strong_view(none, (), STEP, "view", cut_out=0.5).shape == none.shape
    assert flip(none, draw_flips((), STEP, "flips")).shape == none.shape
