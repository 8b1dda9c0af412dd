"""The decision on largest components, by made predictions of validation cases."""

from types import SimpleNamespace

import numpy as np

from semiseg.engine.runtime import Runtime
from semiseg.pipeline import postprocessing
from semiseg.progress import Reporter
from semiseg.types import Case, Geometry

GRID = Geometry((8, 6, 2), np.eye(4))


def case_with(first, second):
    """Reference and prediction: class 1 is one component and a false one, class 2 two true ones."""
    reference, prediction = np.zeros((2, *GRID.shape), np.uint8)
    reference[:3, :2] = prediction[:3, :2] = 1
    prediction[first, 0] = 1
    reference[:3, 4:] = prediction[:3, 4:] = 2
    reference[second, 5] = prediction[second, 5] = 2
    return reference, prediction


def test_it_helps_one_class_and_hurts_another(monkeypatch):
    made = {"a": case_with(5, 5), "b": case_with(6, 7)}
    dataset = SimpleNamespace(read_label=lambda case: SimpleNamespace(array=made[case.id][0]))
    monkeypatch.setattr(postprocessing, "predicted", lambda case, dataset, model: (made[case.id][1].copy(), GRID))
    info = SimpleNamespace(classes=("background", "one", "two", "absent"), has_ignored=False)
    cases, plan = [Case(name, ()) for name in made], SimpleNamespace(info=info)
    found = postprocessing.decided(cases, dataset, None, plan, Runtime("cpu"), Reporter())
    assert {name: one.applied for name, one in found.items()} == {"one": True, "two": False, "absent": False}
    # Class 1: 12 voxels and 2 false ones. Class 2: 12 voxels and 2 more, which are taken away.
    for name in made:
        assert found["one"].cases[name] == (24 / 26, 1.0)
        assert found["two"].cases[name] == (1.0, 24 / 26)
    assert found["absent"].cases == {}
