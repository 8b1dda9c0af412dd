"""Channels in another order than the other cases': what their intensities tell, and what they do not."""

import numpy as np
import pytest

from semiseg.data.scan_checks import channel_statistics, exchanged

NAMES = ("t1", "t2", "flair")


def image(number, means=(100, 400, 900), spread=0.15):
    """Zeros around, and in the middle each channel about its mean, which differs from scan to scan."""
    rng = np.random.default_rng(number)
    array = np.zeros((len(means), 24, 20, 16), np.float32)
    for channel, mean in zip(array, means, strict=True):
        scale = mean * rng.uniform(1 - spread, 1 + spread)
        channel[2:-2, 3:-3, 1:-1] = rng.normal(scale, scale / 10, (20, 14, 14))
    return array


def found(images):
    return {name: channel_statistics(array) for name, array in images.items()}


def said(images, training=None):
    return exchanged(found(images), training or images, NAMES[: len(next(iter(images.values())))])


def test_the_statistics_are_those_of_what_is_not_0():
    array = np.zeros((2, 4, 4, 4))
    array[0, 1] = 2
    array[0, 1, :2] = 4
    array[1, 2] = 6
    array[1, 2, 0, 0] = 22
    # 8 twos and 8 fours; 15 sixes and a 22, whose mean, variance and skewness are 7, 15 and 14 / sqrt(15).
    sizes = np.log([[1, np.sqrt(10)], [np.sqrt(15), 8]])
    expected = np.concatenate([[[3, 0], [7, 14 / np.sqrt(15)]], sizes, sizes - sizes.mean(0)], axis=1)
    np.testing.assert_allclose(channel_statistics(array), expected, atol=1e-12)
    assert np.isnan(channel_statistics(np.zeros((1, 3, 3, 3)))).all()


def test_two_channels_exchanged_in_one_case_are_named():
    images = {f"c{number}": image(number) for number in range(6)}
    assert said(images) == []
    images["c3"] = images["c3"][[1, 0, 2]]
    assert said(images) == [("c3", "t1 looks like t2, t2 looks like t1")]
    images["c3"] = image(3)[[1, 2, 0]]
    assert said(images) == [("c3", "t1 looks like t2, t2 looks like flair, flair looks like t1")]


def test_several_exchanged_cases_among_many_do_not_hide_one_another():
    images = {f"c{number:02d}": image(number) for number in range(12)}
    for name in ("c04", "c09"):
        images[name] = images[name][[0, 2, 1]]
    assert [name for name, _ in said(images)] == ["c04", "c09"]


def test_a_test_case_is_compared_with_the_training_cases():
    images = {f"c{number}": image(number) for number in range(5)} | {"t": image(9)[[1, 0, 2]]}
    assert said(images, [name for name in images if name != "t"]) == [("t", "t1 looks like t2, t2 looks like t1")]


@pytest.mark.parametrize("gain", [0.05, 40])
def test_a_scan_that_is_brighter_as_a_whole_is_no_exchanged_one(gain):
    images = {f"c{number}": image(number) for number in range(8)}
    images["c5"] = images["c5"] * gain
    assert said(images) == []
    images["c2"] = images["c2"][[1, 0, 2]] * gain
    assert [name for name, _ in said(images)] == ["c2"]


@pytest.mark.parametrize("number", range(20))
def test_channels_that_look_alike_say_nothing(number):
    images = {f"c{i}": image(1000 * number + i, (300, 300, 320), 0.3) for i in range(6)}
    assert said(images) == []
    images["c3"] = images["c3"][[1, 0, 2]]
    assert said(images) == []


def test_few_cases_and_empty_channels_say_nothing():
    images = {f"c{number}": image(number) for number in range(4)}
    images["c1"] = images["c1"][[1, 0, 2]]
    assert said(images) == []
    images = {f"c{number}": image(number) for number in range(6)}
    images["c1"][0] = 0
    assert said(images) == []
