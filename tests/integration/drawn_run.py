"""Run folders without training, for what is done with a run afterwards."""

import shutil

import semiseg as library
from semiseg.engine.checkpoint import Checkpoints
from semiseg.engine.runtime import Runtime
from semiseg.pipeline.folder import RunFolder
from semiseg.pipeline.model import new_model
from semiseg.pipeline.plan import make_plan


def drawn_run(path, recipe, *changes):
    """A run folder with weights that were drawn, not trained: other ones for last than for best."""
    folder = RunFolder(path)
    path.mkdir(parents=True)
    for name, seed in (("last", 1), ("best", 2)):
        plan = make_plan(library.load_recipe(recipe, [*changes, f"seed={seed}"]))
        model = new_model(plan, Runtime("cpu", plan.recipe.training.precision))
        Checkpoints(folder.checkpoints, print).save_weights(name, model.strategy.state_dict(), 0)
    folder.write_start(plan.recipe, plan.split.as_dict(), model.record())
    return path


def copied_to(folder, cases):
    """The image files of some cases in one new folder."""
    folder.mkdir()
    for path in [path for case in cases for path in case.images]:
        shutil.copy(path, folder / path.name)
    return folder
