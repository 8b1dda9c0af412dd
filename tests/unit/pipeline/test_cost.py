"""What is told of predictions that take long, or much memory."""

import numpy as np
import pytest
from torch import nn

from semiseg.inference.image import Ensemble, Limit, Member
from semiseg.inference.sliding_window import Predictor
from semiseg.pipeline import cost
from semiseg.pipeline.cost import cost_note
from semiseg.recipe import schema
from semiseg.strategies.supervised import Supervised, SupervisedOptions
from semiseg.types import Geometry, Task


@pytest.fixture(autouse=True)
def sixteen_gib(monkeypatch):
    monkeypatch.setattr(cost, "memory_room", lambda kind: 16 * 2**30)


def note(shapes, classes=5, seconds=0.5, rounds=1, limit=4.0, models=1, **options):
    timed = []
    strategy = Supervised(SupervisedOptions(), {"model": nn.Identity()})
    predictor = Predictor(strategy, (64, 64, 64), schema.Inference(**options), "cpu")
    predictor.seconds_per_batch = lambda channels: timed.append(channels) or seconds
    grids = {name: Geometry(shape, np.eye(4)) for name, shape in shapes.items()}
    task = Task(1, tuple(map(str, range(classes))), predictor.patch_size)
    ensemble = Ensemble([Member(predictor, schema.Preprocessing())] * models, classes, Limit.of(limit))
    return cost_note(grids, ensemble, task, rounds), timed


def test_a_small_image_is_not_worth_a_word_and_nothing_is_timed():
    assert note({"x": (128, 128, 64)}) == ("", [])
    assert note({}) == ("", [])


def test_time_and_memory_of_a_large_image():
    # 400 voxels in steps of 32: 12 windows an axis, 1,728 in batches of 4; 400^3 voxels of 38 bytes.
    told, timed = note({"big": (400, 400, 400), "small": (64, 64, 64)}, overlap=0.5, batch_size=4)
    time = "about 3 min 36 s in total"
    memory = "about 2.3 GiB of memory for big (400 x 400 x 400 voxels, 5 classes)"
    assert told == f"prediction takes {time} and {memory}"
    assert timed == [1]


def test_many_images_take_their_time_together_and_each_checkpoint_again():
    shapes = {str(number): (64, 64, 64) for number in range(200)}
    assert note(shapes, batch_size=1, seconds=1)[0] == "prediction takes about 3 min 20 s in total"
    assert note(shapes, batch_size=1, seconds=1, rounds=2)[0] == "prediction takes about 6 min 40 s in total"


def test_several_models_take_their_time_one_after_another():
    assert (
        note({"x": (400, 400, 64)}, seconds=1, models=2, batch_size=1)[0]
        == "prediction takes about 4 min 48 s in total"
    )


def test_a_large_image_is_predicted_within_the_limit_and_that_is_told():
    told, _ = note({"huge": (512, 512, 600)}, classes=14)
    assert (
        "about 3.1 GiB of memory for huge (512 x 512 x 600 voxels, 14 classes), slab by slab, within the limit" in told
    )
    assert "of 4.0 GiB (inference.memory_gib)" in told
    told, _ = note({"huge": (512, 512, 600)}, classes=14, limit=2.5)
    assert "about 2.3 GiB of memory for huge (512 x 512 x 600 voxels, 14 classes), in 4 parts, slab by slab" in told


def test_more_memory_than_the_limit_or_than_there_is_is_told_with_what_may_happen():
    told, _ = note({"huge": (512, 512, 600)}, classes=14, limit=1)
    assert "slab by slab, which is more than the limit of 1.0 GiB" in told
    assert "available" not in told
    told, _ = note({"huge": (1200, 1200, 1400)}, classes=14)
    assert "more than the 16.0 GiB available to this process: the system may kill it without a message" in told
