"""Run folders without training, for what is done with a run afterwards."""

import json
import shutil

import semiseg as library
from semiseg.engine.runtime import Runtime
from semiseg.pipeline.model import new_model
from semiseg.pipeline.plan import make_plan
from semiseg.recipe.diff import EPOCHS, recipe_hash
from semiseg.recipe.yaml import read_yaml
from semiseg.runs.belonging import record_digest
from semiseg.runs.checkpoint import Checkpoints, load_state
from semiseg.runs.folder import RunFolder


def drawn_run(path, recipe, *changes):
    """A run folder with weights that were drawn, not trained: other ones for last than for best."""
    folder = RunFolder(path)
    path.mkdir(parents=True)
    for name, seed in (("last", 1), ("best", 2)):
        plan = make_plan(library.load_recipe(recipe, [*changes, f"seed={seed}"]))
        model = new_model(plan, Runtime("cpu", plan.recipe.training.precision))
        Checkpoints(folder.checkpoints, print).save_weights(name, model.strategy.state_dict(), 0)
    folder.write_start(plan.recipe, plan.split.as_dict(), model.record())
    tied(path)
    return path


def tied(path, **record):
    """Have a run folder's files belong together as they are now, with these changes of model.json."""
    folder = RunFolder(path)
    found = json.loads(folder.model.read_text()) | record
    recipe, paths = read_yaml(folder.recipe)[0], found["data_paths"]
    found["recipe"], found["recipe_but_epochs"] = recipe_hash(recipe, paths), recipe_hash(recipe, [*paths, EPOCHS])
    folder.model.write_text(json.dumps(found))
    for name in ("last", "best"):
        state = load_state(folder.weights(name))
        Checkpoints(folder.checkpoints, print, record_digest(found)).save_weights(
            name, state["strategy"], state["step"]
        )


def copied_to(folder, cases):
    """The image files of some cases in one new folder."""
    folder.mkdir()
    for path in [path for case in cases for path in case.images]:
        shutil.copy(path, folder / path.name)
    return folder
