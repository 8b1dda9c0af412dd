"""What a bench says, from figures made by hand; tests/integration/test_bench.py measures."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semiseg.bench.advice import advice
from semiseg.bench.measure import Subject
from semiseg.bench.result import BenchResult, Machine, Stage, duration
from semiseg.recipe.load import load_recipe

GIB = 2**30
NAMES = {"none", "luque2023", "fused"}


def recipe(**changes):
    given = {
        "name": "r",
        "dataset": "phantom",
        "split": {"labeled": 2},
        "backbone": "unet",
        "strategy": "supervised",
        "training": {"epochs": 100, "patch_size": [128, 128, 128]},
    }
    return load_recipe(given | changes)


def result(*, gpu=True, workers=2, cores=16, precision="bf16", peak=8 * GIB, **seconds):
    """A run of 1000 steps of 4 samples; seconds of one of each stage."""
    each = {"read": 0.01, "augment": 0.03, "wait": 0.0, "step": 0.5, "validate": 1.0, "predict": 1.0} | seconds
    counts = {"read": 4000, "augment": 4000, "wait": 1000, "step": 1000, "validate": 20, "predict": 10}
    room = 16 * GIB if gpu else 0
    machine = Machine("device", cores, workers, precision, "joint", peak, room, gpu)
    return BenchResult("r", 4, 30, machine, tuple(Stage(name, each[name], counts[name]) for name in counts))


def said(found, made=None, names=NAMES, fits=lambda patch: True):
    return advice(found, made or recipe(), names, fits)


def test_hours_are_sums_of_what_a_run_takes():
    found = result(wait=0.125, step=0.375)
    assert found.total("wait", "step") == 500
    assert found.wait_share == 0.25
    assert found.total() == 500 + 20 + 10  # reading and augmentation are what is waited for
    assert found.hours == pytest.approx(
        {"training": 500 / 3600, "validation": 20 / 3600, "prediction": 10 / 3600, "total": 530 / 3600}
    )


def test_figures_are_json():
    found = json.loads(json.dumps(result(wait=0.5).as_dict()))
    assert found["stages"]["augment"] == {"seconds": 0.03, "count": 4000}
    assert found["wait_share"] == 0.5
    assert found["machine"]["room"] == 16 * GIB


def test_nothing_stands_out():
    (text,) = said(result())
    assert text == "No bottleneck found: steps take 94% of the time."


def test_as_many_workers_as_keep_up_with_the_step():
    # 4 samples of 0.5 s take 2 s; a step takes 0.5 s: four processes keep up.
    (text,) = said(result(read=0.1, augment=0.4, wait=0.5), names=())
    assert text.startswith("training.workers=4: steps wait for data 50% of the training time.")
    assert "2 s in one process, 1 s in 2 and 500 ms in 4; a step takes 500 ms." in text


def test_no_more_workers_than_cores():
    slow = {"read": 0.1, "augment": 0.9, "wait": 1.5}
    assert said(result(**slow, cores=4), names=())[0].startswith("training.workers=3:")
    assert not any("workers" in text for text in said(result(**slow, cores=3)))


def test_on_the_cpu_workers_take_cores_from_the_step():
    (text,) = said(result(gpu=False, workers=0, wait=0.16), names=())
    assert text.startswith("training.workers=1:")
    assert "160 ms before each step of 500 ms; workers would do it during the step, but share its cores." in text


def test_fused_augmentation_only_where_it_is_installed_and_would_help():
    slow = result(augment=0.4, wait=0.5)
    assert any(text.startswith("augmentation.name=fused:") and "98% of a sample's time" in text for text in said(slow))
    assert not any("fused" in text for text in said(slow, names={"none", "luque2023"}))
    assert not any("fused" in text for text in said(slow, recipe(augmentation="none")))
    assert not any("fused" in text for text in said(result(augment=0.4)))  # nobody waits for it


def test_a_gpu_can_augment():
    slow, fused = result(augment=0.4, wait=0.5), recipe(augmentation="fused")
    assert any(text.startswith("training.augmentation_on=device:") for text in said(slow, fused))
    assert not any("device" in text for text in said(result(augment=0.4, wait=0.5, gpu=False), fused))
    assert not any(
        "augmentation_on" in text for text in advice(slow, fused, NAMES, lambda patch: True, True)
    )  # targets
    assert not any("augmentation_on" in text for text in said(slow))  # paper cannot


def test_slow_reading_is_the_disk_s():
    texts = said(result(read=0.5, augment=0.1, wait=0.5))
    assert any(text.startswith("preprocessing.store=FOLDER") and "500 ms of 600 ms" in text for text in texts)


def test_half_precision_where_the_gpu_has_it():
    (text,) = said(result(precision="32"))
    assert text.startswith("training.precision=bf16: steps take 8.33 min, 94% of the time, in float32 with 8.0 GiB")
    assert not any("bf16" in text for text in said(result(gpu=False, precision="32")))


def test_long_steps_ask_for_smaller_patches_that_fit():
    long = result(step=100.0)
    (text,) = said(long)
    assert text.startswith("training.patch_size=[96, 96, 96]: steps take 27.8 h, 100% of the time, with 8.0 GiB")
    assert "with 42% of the voxels they would take about 11.7 h" in text
    assert said(long, fits=lambda patch: False)[0].startswith("No bottleneck found")
    assert said(result(step=100.0, gpu=False))[0].startswith("Use a GPU: steps take 27.8 h")


def test_full_memory_asks_for_smaller_patches_too():
    assert not any("patch_size" in text for text in said(result(peak=14 * GIB)))
    assert any("patch_size" in text for text in said(result(peak=15 * GIB)))


def test_a_patch_with_two_sides_gets_two_smaller_ones():
    (text,) = said(result(peak=15 * GIB), recipe(training={"patch_size": [256, 224]}))
    assert text.startswith("training.patch_size=[192, 160]: steps take ")
    assert "with 54% of the voxels" in text


def test_patches_are_not_made_smaller_than_they_can_be():
    small = recipe(training={"patch_size": [16, 16, 16]})
    assert said(result(step=100.0), small)[0].startswith("No bottleneck found")


def test_rare_validation():
    # 500 s of steps and 10 s of prediction; a tenth of that is 51 s, of 400 s now.
    (text,) = said(result(validate=20.0))
    assert text.startswith("training.validation.every=8: validation takes 6.67 min, 44% of the time")
    assert text.endswith("and would then take about 50 s.")
    assert not any("validation" in t for t in said(result(validate=20.0), recipe(training={"epochs": 1})))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.00123, "1.23 ms"),
        (0.999, "999 ms"),
        (1, "1 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7200, "2 h"),
        (9e6, "2500 h"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


class TrainingSchedule:
    def __init__(self, total):
        self.total = total


@given(st.integers(1, 40), st.integers(0, 8), st.integers(1, 100))
def test_each_worker_makes_as_many_of_the_timed_batches(count, workers, total):
    subject = Subject(None, None, None, TrainingSchedule(total), None, workers)
    untimed, timed = subject.n_steps(count)
    assert untimed >= 0
    assert timed >= 1
    assert untimed + timed <= total
    if total >= count + 2 * max(workers, 1) + 2:
        assert timed >= count
        assert timed % max(workers, 1) == 0
        assert untimed >= max(workers, 2)
