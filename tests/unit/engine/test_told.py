"""What a training tells while it goes on."""

import re
from contextlib import contextmanager

import pytest
from tiny_trainer import Kill, KillingBatches

from semiseg.progress import Meter, Reporter
from semiseg.runs.status_lines import StatusLines

LINE = re.compile(
    r"epoch (\d+)/(\d+)  validation Dice (\d\.\d{3})( \(lowest validation loss\))?  loss (\d+\.\d{3})  after \d+ s"
)


class Listener(Reporter):
    """Keeps what is said, and the figures that stand beside the bar."""

    def __init__(self):
        self.said, self.figures = [], []

    @contextmanager
    def work(self, title, total, done=0, unit=""):
        meter = Meter()
        meter.at = lambda done, info=None: self.figures.append((done, info))
        yield meter

    def say(self, text):
        self.said.append(text)

    @property
    def lines(self):
        return [found.groups() for found in map(LINE.fullmatch, self.said) if found]


def test_every_validated_epoch_has_a_line_with_what_the_log_has(make_trainer):
    listener = Listener()
    trainer = make_trainer(epochs=6, reporter=listener)
    trainer.options = trainer.options.model_copy(
        update={"validation": trainer.options.validation.model_copy(update={"every": 2})}
    )
    trainer.fit()
    lowest, expected = float("inf"), []
    for record in trainer.log.read():
        if "validation" in record:
            best = " (lowest validation loss)" if record["validation"]["loss"] < lowest else None
            lowest = min(lowest, record["validation"]["loss"])
            dice, loss = record["validation"]["mean_dice"], record["train"]["loss"]
            expected.append((str(record["epoch"]), "6", f"{dice:.3f}", best, f"{loss:.3f}"))
    assert [line[0] for line in expected] == ["2", "4", "6"]
    assert listener.lines == expected


def test_the_last_validation_s_dice_stands_first_beside_the_bar(make_trainer):
    listener = Listener()
    trainer = make_trainer(reporter=listener)
    trainer.fit()
    assert next(iter(listener.figures[0][1])) == "epoch"  # nothing was validated yet
    dice = [f"{record['validation']['mean_dice']:.3f}" for record in trainer.log.read()]
    for done, figures in listener.figures[-5:-1]:
        assert 8 <= done <= 12
        assert next(iter(figures.items())) == ("validation Dice", dice[1])
    assert next(iter(listener.figures[-1][1].items())) == ("validation Dice", dice[2])
    assert "step memory" not in listener.figures[-1][1]  # torch does not count it on a CPU


def test_a_run_that_goes_on_knows_what_was_validated_before(make_trainer):
    with pytest.raises(Kill):
        make_trainer(batches=KillingBatches(6)).fit()
    listener = Listener()
    resumed = make_trainer(reporter=listener)
    resumed.fit()
    first = resumed.log.read()[0]["validation"]["mean_dice"]
    assert listener.figures[0][1]["validation Dice"] == f"{first:.3f}"
    assert [line[0] for line in listener.lines] == ["2", "3"]


def test_without_validation_cases_there_is_no_line(make_trainer):
    listener = Listener()
    make_trainer(validation=False, reporter=listener).fit()
    assert listener.lines == []
    assert "validation Dice" not in listener.figures[-1][1]


def test_time_before_a_stop_counts_and_a_dice_that_is_unknown_is_a_dash():
    listener = Listener()
    told = StatusLines(9, listener)
    before = {"seconds": 3000.0, "seconds_waited_for_data": 660.0}
    told.recall([before | {"validation": {"mean_dice": None}}, before | {"seconds": 0.0}])
    assert told.figures(3, {"loss": 0.5}, 3 * 2**29) == {
        "validation Dice": "–",
        "epoch": "3/9",
        "loss": 0.5,
        "step memory": "1.50 GiB",
    }
    told.validated(3, float("nan"), False, 0.5)
    assert listener.said == ["epoch 3/9  validation Dice –  loss 0.500  after 1 h 12 min"]
