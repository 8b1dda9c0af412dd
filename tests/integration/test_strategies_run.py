"""Every strategy through a whole run: training, both checkpoints, prediction and scores."""

import copy
import json
import math

import pytest
from small_run import SMALL

import semiseg as library
from semiseg.strategies.cross_teaching import CrossTeaching
from semiseg.strategies.entropy_minimization import EntropyMinimization
from semiseg.strategies.fixmatch import FixMatch
from semiseg.strategies.pi_model import PiModel
from semiseg.strategies.pseudo_label import PseudoLabel
from semiseg.strategies.self_training import SelfTraining

SMALL_UNETR = {"name": "unetr", "feature_size": 4, "hidden_size": 12, "mlp_dim": 12, "num_heads": 2}


@pytest.mark.parametrize(
    ("strategy", "options", "part"),
    [
        (EntropyMinimization, {}, "entropy"),
        (PseudoLabel, {"threshold": 0.3}, "accepted"),
        (CrossTeaching, {"networks": {"student_b": SMALL_UNETR}}, "pseudo"),
        (PiModel, {}, "consistency"),
        (FixMatch, {"threshold": 0.3, "labels_from": "teacher"}, "accepted"),
        (SelfTraining, {"teacher_share": 0.3}, "pseudo"),
    ],
)
def test_a_strategy_trains_predicts_and_resumes(strategy, options, part, tmp_path):
    recipe = copy.deepcopy(SMALL)
    recipe["training"] |= {"epochs": 1, "examples_per_epoch": 6}
    recipe = library.load_recipe(recipe).with_component("strategy", strategy, **options)
    result = library.run(recipe, tmp_path / "run")
    assert {score.checkpoint for score in result.scores} == {"last", "best"}
    log = [json.loads(line) for line in (result.folder / "log.jsonl").read_text().splitlines()]
    values = [line["train"][part] for line in log]
    assert values
    assert all(math.isfinite(value) and value > 0 for value in values)
    assert library.run(recipe, tmp_path / "run", resume=True).scores == result.scores
