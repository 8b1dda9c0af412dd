"""In what the machine of a resumed run differs from the first."""

import copy

import pytest

from semiseg.runs.environment import changes_since, environment

THEN = {
    "started": "2026-01-01T00:00:00+00:00",
    "platform": "Linux-5.10",
    "torch_threads": 2,
    "gpus": ["NVIDIA A", "NVIDIA A"],
    "cuda": None,
    "cudnn": None,
    "packages": {"torch": "2.12.0", "monai": "1.6.0"},
    "command": ["semiseg", "run"],
}


def test_the_machine_beside_itself():
    assert changes_since(environment(), environment()) == ""


@pytest.mark.parametrize(
    ("now", "said"),
    [
        ({"started": "later", "command": [], "platform": "Linux-6.1"}, ""),
        ({"torch_threads": 1}, "torch threads 2, now 1"),
        ({"gpus": []}, "gpus NVIDIA A, NVIDIA A, now none"),
        ({"packages": {"torch": "2.13.0"}}, "torch 2.12.0, now 2.13.0; monai 1.6.0, now none"),
    ],
)
def test_what_last_digits_depend_on_is_said(now, said):
    assert changes_since(copy.deepcopy(THEN), THEN | now) == said


def test_an_older_record_without_packages():
    assert changes_since({"torch_threads": 2}, THEN) == (
        "gpus none, now NVIDIA A, NVIDIA A; torch none, now 2.12.0; monai none, now 1.6.0"
    )
