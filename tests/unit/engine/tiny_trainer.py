"""A trainer on the tiny task."""

from tiny_task import SIZE, MadeBatches, MadeCase, Net, cps

from semiseg.codings.classes import CLASSES
from semiseg.engine.runtime import Runtime
from semiseg.engine.schedule import TrainingSchedule
from semiseg.engine.step_mode_choice import StepModeChoice
from semiseg.engine.step_modes import StepMode
from semiseg.engine.trainer import Trainer
from semiseg.engine.training_setup import TrainingSetup
from semiseg.engine.validation import validate
from semiseg.inference.sliding_window import Predictor
from semiseg.progress import Reporter
from semiseg.recipe import schema
from semiseg.types import Task

WHOLE = StepMode()


class Kill(BaseException):
    """Stands for SIGKILL: nothing in the loop may catch it."""


class KillingBatches(MadeBatches):
    def __init__(self, at):
        super().__init__()
        self.at = at

    def steps(self, start, stop):
        for step, batch in zip(range(start, stop), super().steps(start, stop), strict=True):
            if step == self.at:
                raise Kill
            yield batch


def tiny_trainer(
    folder,
    strategy=None,
    batches=None,
    epochs=3,
    minutes=0.0,
    runtime=None,
    validation=True,
    mode=WHOLE,
    reporter=None,
    **training,
):
    strategy = strategy or cps(wait_share=0.3)
    runtime = runtime or Runtime("cpu", "32")
    options = schema.Training(
        epochs=epochs,
        examples_per_epoch=16,
        patch_size=SIZE,
        checkpoint=schema.Checkpoint(minutes=minutes),
        **{"optimizer": schema.Optimizer(lr=0.01), **training},
    )
    cases = [MadeCase("v1", 7001), MadeCase("v2", 7002)]

    def score(after_case, role):
        predict = Predictor(strategy, SIZE, schema.Inference(), "cpu", role).probabilities
        task = Task(1, ("background", "bright"), SIZE)
        return validate(cases, predict, task, CLASSES, runtime, after_case)

    folder.mkdir(exist_ok=True)
    parts = TrainingSetup(
        strategy=strategy,
        redraw=lambda stage: {role: Net(100 * stage + i) for i, role in enumerate(strategy.networks)},
        timetable=TrainingSchedule(strategy.stages(), epochs, 16, 4, seed=5),
        choose=lambda: StepModeChoice(mode, "a test"),
        batches=batches or MadeBatches(),
        prepare_stage=lambda number, begins, after_case: None,
        validate=score if validation else None,
        class_names=("background", "bright"),
        runtime=runtime,
        folder=folder,
        reporter=reporter or Reporter(),
        observe=lambda step, record: None,
    )
    return Trainer(parts, options)
