"""What observers are told, and that none costs anyone a run."""

import pytest
from helpers_reporter import Heard

from semiseg.errors import RecipeError
from semiseg.interfaces.component import ComponentOptions
from semiseg.interfaces.observer import Observer
from semiseg.pipeline.observing import Observers, curves, find_observers
from semiseg.runs.folder import RunFolder
from semiseg.scoring.arrays import score
from semiseg.scoring.scores import Scores
from semiseg.testing.observer import make_run


class Told(Observer):
    """Keeps what it is told, and fails at some call."""

    class Options(ComponentOptions):
        fails_at: str = ""

    def __init__(self, options=None):
        super().__init__(options)
        self.told = []

    def tell(self, what, *about):
        self.told.append((what, *about))
        if self.options.fails_at == what:
            raise OSError("no connection")

    def begin(self, run):
        self.tell("begin", run.name, run.resumed)

    def record(self, step, values):
        self.tell("record", step, dict(values))

    def end(self, scores, files):
        self.tell("end", dict(scores), [path.name for path in files])

    def fail(self, reason):
        self.tell("fail", reason)


RECORD = {
    "epoch": 1,
    "train": {"loss": 0.5, "unlabeled": float("nan")},
    "lr": 0.1,
    "validation": {"loss": 0.4, "dice": {"a": 0.6, "b": None}, "networks": {"student": {"a": 0.5}}},
}


def test_curves_are_flat_and_finite():
    assert dict(curves(RECORD)) == {
        "train/loss": 0.5,
        "lr": 0.1,
        "validation/loss": 0.4,
        "validation/dice/a": 0.6,
        "validation/dice/a/student": 0.5,
    }
    assert dict(curves({"train": {"loss": 1}, "lr": 0.1})) == {"train/loss": 1.0, "lr": 0.1}


def test_scores_are_means_by_checkpoint_metric_and_class(tmp_path):
    one = Told()
    rows = [
        score([[1, 1, 0]], [[1, 1, 0]], classes=["a"], case="x"),
        score([[1, 0, 0]], [[1, 1, 1]], classes=["a"], case="y"),
    ]
    make_run(tmp_path)
    Observers({"one": one}, Heard()).end(Scores(row for table in rows for row in table), RunFolder(tmp_path))
    ((what, scores, files),) = one.told
    assert what == "end"
    assert scores["test//dice/a"] == pytest.approx((1 + 0.5) / 2)
    assert files == ["recipe.yaml", "scores.csv"]


@pytest.mark.parametrize("call", ["begin", "record", "end", "fail"])
def test_one_that_fails_is_left_out_and_told_once(call, tmp_path):
    bad, good, heard = Told(Told.Options(fails_at=call)), Told(), Heard()
    observers = Observers({"bad": bad, "good": good}, heard)
    observers.begin(make_run(tmp_path))
    observers.record(10, RECORD)
    observers.record(20, RECORD)
    observers.end(Scores(), RunFolder(tmp_path))
    observers.fail(ValueError("out of memory"))
    assert [what for what, *_ in good.told] == ["begin", "record", "record", "end", "fail"]
    assert good.told[-1] == ("fail", "out of memory")
    assert [what for what, *_ in bad.told][-1] == call
    assert heard.said == ["Note: the observer bad failed and is left out from here on: OSError: no connection"]


def test_they_are_found_by_name_class_and_object():
    found = find_observers([Told, "tensorboard"], Heard())
    assert [*found._observers] == ["Told", "tensorboard"]
    one = Told()
    assert find_observers([one], Heard())._observers == {"Told": one}


def test_all_that_is_wrong_is_told_at_once():
    with pytest.raises(RecipeError) as caught:
        find_observers(["tensorbord", "tensorboard", "tensorboard", "tensorboard:a", "tensorboard:log=1"], Heard())
    told = "\n".join(map(str, caught.value.problems))
    for said in ("Did you mean 'tensorboard'", "named twice", "is not NAME or NAME:OPTION", "log"):
        assert said in told
