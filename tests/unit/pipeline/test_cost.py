"""What is told of predictions that take long, or much memory."""

from types import SimpleNamespace

import numpy as np
import pytest

from semiseg.pipeline import cost
from semiseg.pipeline.cost import cost_note
from semiseg.recipe import schema
from semiseg.types import Geometry, Task


@pytest.fixture(autouse=True)
def sixteen_gib(monkeypatch):
    monkeypatch.setattr(cost, "memory_room", lambda kind: 16 * 2**30)


def note(shapes, classes=5, seconds=0.5, rounds=1, **options):
    timed = []
    predictor = SimpleNamespace(
        patch_size=(64, 64, 64),
        options=schema.Inference(**options),
        seconds_per_batch=lambda channels: timed.append(channels) or seconds,
    )
    grids = {name: Geometry(shape, np.eye(4)) for name, shape in shapes.items()}
    task = Task(1, tuple(map(str, range(classes))), predictor.patch_size)
    return cost_note(grids, predictor, task, schema.Preprocessing(), rounds), timed


def test_a_small_image_is_not_worth_a_word_and_nothing_is_timed():
    assert note({"x": (128, 128, 64)}) == ("", [])
    assert note({}) == ("", [])


def test_time_and_memory_of_a_large_image():
    # 400 voxels in steps of 32: 12 windows an axis, 1,728 in batches of 4; 400^3 voxels of 42 bytes.
    told, timed = note({"big": (400, 400, 400), "small": (64, 64, 64)}, overlap=0.5, batch_size=4)
    time = "about 3 min 36 s in total"
    memory = "about 2.5 GiB of memory for big (400 x 400 x 400 voxels, 5 classes)"
    assert told == f"prediction takes {time} and {memory}"
    assert timed == [1]


def test_many_images_take_their_time_together_and_each_checkpoint_again():
    shapes = {str(number): (64, 64, 64) for number in range(200)}
    assert note(shapes, batch_size=1, seconds=1)[0] == "prediction takes about 3 min 20 s in total"
    assert note(shapes, batch_size=1, seconds=1, rounds=2)[0] == "prediction takes about 6 min 40 s in total"


def test_more_memory_than_there_is_is_told_with_what_may_happen():
    told, _ = note({"huge": (600, 600, 512)}, classes=14, batch_size=1)
    # 12 + 4 * 15 + 6 = 78 bytes a voxel
    assert "about 13.4 GiB of memory" in told
    assert "more than" not in told
    told, _ = note({"huge": (600, 600, 700)}, classes=14)
    assert "about 18.3 GiB of memory for huge" in told
    assert "more than the 16.0 GiB available to this process: the system may kill it without a message" in told
