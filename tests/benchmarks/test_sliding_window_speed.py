"""Sliding windows over the foreground box against MONAI's inferer over the whole volume: windows, time, and Dice.

Run with ``pytest tests/benchmarks/test_sliding_window_speed.py --benchmark-enable -s``: windows, ratios of time and the
Dice of both ways are printed at the end. The real BraTS cases are used where SEMISEG_REAL_DATA is set, else made heads.
Both ways have the same network, overlap and weighting. What is timed begins with an image in memory: ours includes the
search for the box, statistics and the way back to the whole volume, the other's includes its normalization. Numbers of
windows, and what can be equal, are asserted; times (the processor's) and Dice are not.
"""

import os
import time
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.inferers.utils import sliding_window_inference
from torch import nn

from semiseg.inference.sliding_window import Predictor
from semiseg.preprocessing.normalization import foreground_statistics
from semiseg.preprocessing.prepare import prepare
from semiseg.recipe import schema
from semiseg.registry import create, load
from semiseg.scoring.score_case import score_case
from semiseg.types import Task, Volume

ROOT = Path(os.environ.get("SEMISEG_REAL_DATA", "/nonexistent"))
BRATS = sorted((path.parent.name, path.name) for path in ROOT.glob("brats20*/*"))
OPTIONS, PLAIN = schema.Inference(), schema.Preprocessing()
ROIS = (128, 64)
WHOLE = {128: 18, 64: 196}
"""Windows of 240 x 240 x 155 voxels at overlap 0.5."""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("heads")
    return create("dataset", "phantom", {"root": root, "cases": 6, "size": (64, 76, 60)})


@cache
def real(folder):
    return create("dataset", "brats", {"root": ROOT / folder})


class Counting(nn.Module):
    """A 1 x 1 x 1 convolution, which counts windows and costs little: what is timed is the windows' own work."""

    def __init__(self, channels):
        super().__init__()
        self.conv, self.windows = nn.Conv3d(channels, 4, 1), 0

    def forward(self, x):
        self.windows += len(x)
        return self.conv(x)


def strategy(network):
    cls = load("strategy", "supervised")
    return cls(cls.Options(), {"model": network})


def over_the_box(network, volume, roi, options=OPTIONS):
    """Class indices on the volume's grid, as ``semiseg predict`` makes them."""
    prepared = prepare(volume, PLAIN)
    predictor = Predictor(strategy(network), (roi,) * 3, options, "cpu")
    return prepared.restore(predictor.labels(prepared.normalized()))


def over_all(network, volume, roi, options=OPTIONS):
    """The same with MONAI's inferer on the whole volume; the same statistics normalize it."""
    image = np.zeros(volume.array.shape, np.float32)
    for channel, target in zip(volume.array, image, strict=True):
        mean, deviation = foreground_statistics(channel, nonzero=True)
        np.divide(channel - np.float32(mean), np.float32(deviation), out=target, where=channel != 0)
    with torch.inference_mode():
        probabilities = sliding_window_inference(
            torch.from_numpy(image)[None],
            (roi,) * 3,
            options.batch_size,
            lambda x: network.eval()(x).softmax(1),
            overlap=options.overlap,
            mode=options.weighting,
        )
    return probabilities[0].argmax(0).to(torch.uint8).numpy()


WAYS = {"box": over_the_box, "whole": over_all}


@pytest.fixture(scope="module")
def times():
    return {}


@pytest.fixture(scope="module")
def report(request):
    lines = []
    yield lines
    if lines:
        with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            print("", *lines, sep="\n")


def count(shape, roi):
    """Windows of MONAI's grid at overlap 0.5: one at least, and as many steps of half a window as reach the end."""
    return int(np.prod([max(1, -(-(n - roi) // (roi // 2)) + 1) for n in shape]))


@pytest.mark.real_data
@pytest.mark.skipif(not BRATS, reason="SEMISEG_REAL_DATA is not set")
@pytest.mark.parametrize("roi", ROIS)
def test_windows_on_full_size_cases(roi, report):
    """At least 2.2 times fewer in every case; the first case's are counted where they are predicted, too."""
    boxes = []
    for folder, name in BRATS:
        dataset = real(folder)
        volume = dataset.read_image(next(case for case in dataset.cases() if case.id == name))
        assert count(volume.geometry.shape, roi) == WHOLE[roi]
        boxes.append(count(prepare(volume, PLAIN).preparation.shape, roi))
        if len(boxes) == 1:
            networks = {way: Counting(4) for way in WAYS}
            for way, predict in WAYS.items():
                predict(networks[way], volume, roi)
            assert [networks[way].windows for way in WAYS] == [boxes[0], WHOLE[roi]]
    report.append(f"roi {roi}: {WHOLE[roi]} windows on the whole volume, over the box {sorted(boxes)}")
    assert WHOLE[roi] / max(boxes) >= 2.2


def test_the_same_prediction_where_the_box_is_the_image(made):
    """Windows lie alike then, and nothing else differs but digits of the normalization."""
    volume = made.read_image(made.cases()[0])
    x, y, z = (slice(*side) for side in prepare(volume, PLAIN).preparation.box)
    turned = volume.array[:, ::-1, ::-1][:, x, y, z]
    cut = Volume(turned, type(volume.geometry)(turned.shape[1:], np.eye(4)))
    assert prepare(cut, PLAIN).preparation.shape == turned.shape[1:]
    torch.manual_seed(0)
    network = small_unet()
    one, two = (predict(network, cut, 32) for predict in WAYS.values())
    assert len(np.unique(one)) > 1
    assert (one != two).mean() < 1e-4


def small_unet():
    options = {"channels": (8, 16, 32, 64), "strides": (2, 2, 2), "num_res_units": 1}
    return create("backbone", "unet", options).build(Task(4, ("background", "a", "b", "c"), (32, 32, 32)))


@pytest.mark.benchmark(timer=time.process_time)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("roi", ROIS)
@pytest.mark.parametrize("name", BRATS[:3] or [("", "")], ids=lambda name: name[1])
def test_time(benchmark, name, roi, way, made, report, times):
    if not benchmark.enabled:
        pytest.skip("times are of interest with --benchmark-enable alone")
    dataset = real(name[0]) if name[1] else made
    case = next(case for case in dataset.cases() if name[1] in ("", case.id))
    torch.manual_seed(0)
    arguments = Counting(4), dataset.read_image(case), roi
    benchmark.pedantic(WAYS[way], arguments, rounds=5, warmup_rounds=1)
    times[name, roi, way] = benchmark.stats.stats.min  # what else runs on the machine only adds
    if way == "whole":
        box, whole = (times[name, roi, way] for way in WAYS)
        report.append(f"{case.id}, roi {roi}: box {box:.2f} s, whole {whole:.2f} s, ratio {whole / box:.2f}")


def test_dice_of_a_trained_network(request, made, report):
    """A small UNet, trained for some minutes on patches, predicts held-out cases both ways."""
    if not request.config.getoption("--benchmark-enable"):
        pytest.skip("it trains a network")
    pairs = read_pairs(made)
    roi = 64 if BRATS else 32
    network = trained(pairs[:-2], roi)
    for case, volume, label in pairs[-2:]:
        found = {way: dice(label, predict(network, volume, roi), volume.geometry) for way, predict in WAYS.items()}
        assert max(found["box"]) > 0.3  # it has learned something
        values = "; ".join(f"{way} {' '.join(f'{value:.4f}' for value in found[way])}" for way in WAYS)
        report.append(f"{case.id}, Dice by class: {values}")


def read_pairs(made):
    if not BRATS:
        return [(case, made.read_image(case), made.read_label(case).array) for case in made.cases()]
    dataset = real("brats2018")
    return [(case, dataset.read_image(case), dataset.read_label(case).array) for case in dataset.cases()]


def trained(pairs, roi, steps=400):
    """A network trained on patches around the tumor and elsewhere, alternately."""
    torch.manual_seed(0)
    network, rng = small_unet(), np.random.default_rng(0)
    optimizer = torch.optim.Adam(network.parameters(), 5e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    data = []
    for _, volume, label in pairs:
        prepared = prepare(volume, PLAIN)
        data.append((prepared.normalized(), prepared.preparation.cut_label(label)[0]))
    for step in range(steps):
        image, label = data[step % len(data)]
        center = rng.permutation(np.argwhere(label))[0] if step % 3 else [rng.integers(n) for n in label.shape]
        start = [min(max(c - roi // 2, 0), n - roi) for c, n in zip(center, label.shape, strict=True)]
        box = tuple(slice(s, s + roi) for s in start)
        logits = network.train()(torch.from_numpy(image[(slice(None), *box)])[None])
        target = torch.from_numpy(label[box].astype(np.int64))[None]
        weights = torch.tensor([0.2, 1.0, 1.0, 1.0])
        optimizer.zero_grad()
        nn.functional.cross_entropy(logits, target, weights).backward()
        optimizer.step()
        schedule.step()
    return network


def dice(reference, prediction, geometry):
    names = ("background", "necrosis", "edema", "enhancing")
    scores = score_case(reference, prediction, geometry, names, {"dice": create("metric", "dice")}, case="case")
    return [score.value for score in scores]
