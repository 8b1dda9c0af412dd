"""A trainer on the tiny task, in a run folder of its own."""

import pytest
from tiny_task import SIZE, MadeBatches, MadeCase, Net, cps

from semiseg.engine.loop import Parts, Trainer
from semiseg.engine.runtime import Runtime
from semiseg.engine.schedule import Timetable
from semiseg.engine.validation import validate
from semiseg.inference.sliding_window import Predictor
from semiseg.progress import Reporter
from semiseg.recipe import schema


@pytest.fixture
def make_trainer(tmp_path):
    def make(name="run", strategy=None, batches=None, epochs=3, minutes=0.0, precision="32", validation=True):
        strategy = strategy or cps(wait_share=0.3)
        options = schema.Training(
            epochs=epochs,
            examples_per_epoch=16,
            patch_size=SIZE,
            checkpoint=schema.Checkpoint(minutes=minutes),
            optimizer=schema.Optimizer(lr=0.01),
        )
        runtime = Runtime("cpu", precision)
        predictor = Predictor(strategy, SIZE, schema.Inference(), "cpu")
        cases = [MadeCase("v1", 7001), MadeCase("v2", 7002)]
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        parts = Parts(
            strategy=strategy,
            redraw=lambda stage: {role: Net(100 * stage + i) for i, role in enumerate(strategy.networks)},
            timetable=Timetable(strategy.stages(), epochs, 16, 4, seed=5),
            batches=batches or MadeBatches(),
            validate=(lambda after: validate(cases, predictor.probabilities, 2, runtime, after))
            if validation
            else None,
            class_names=("background", "bright"),
            runtime=runtime,
            folder=folder,
            reporter=Reporter(),
            observe=lambda step, record: None,
        )
        return Trainer(parts, options)

    return make
