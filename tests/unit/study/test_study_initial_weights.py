"""Models of a study that have begun start from the copy in their run folders."""

import pytest
import torch
from helpers_initial_weights import a_run, equal, networks, planned
from ruamel.yaml import YAML

from semiseg.errors import RecipeError
from semiseg.pipeline.initial_weights.kept import keep
from semiseg.progress import Reporter
from semiseg.recipe.dump import dump_recipe
from semiseg.runs.folder import RunFolder
from semiseg.study.load import load_study
from semiseg.study.run import make_plans


def test_a_begun_model_does_not_need_the_file_and_another_does(tmp_path):
    weights = a_run(tmp_path / "earlier")["model"]
    torch.save(weights, tmp_path / "w.pt")
    plan = planned(str(tmp_path / "w.pt"))
    YAML(typ="safe").dump(
        {
            "name": "small",
            "seeds": [1, 2],
            "matrix": [{"strategy": ["supervised"]}],
            "base": YAML(typ="safe").load(dump_recipe(plan.recipe)),
        },
        tmp_path / "study.yaml",
    )
    study = load_study(tmp_path / "study.yaml")
    one, other = study.models
    begun = RunFolder(tmp_path / "begun")
    begun.path.mkdir()
    keep(plan.initial, begun)
    begun.recipe.write_text(dump_recipe(one.recipe))
    runs = {one.name: begun, other.name: RunFolder(tmp_path / "none")}

    plans = make_plans(study, Reporter(), runs=runs)
    assert equal(networks(plans[one.name])["model"], weights)
    (tmp_path / "w.pt").unlink()
    with pytest.raises(RecipeError, match=r"w\.pt does not exist"):
        make_plans(study, Reporter(), runs=runs)
    begun_too = make_plans(study, Reporter(), runs={**runs, other.name: begun})
    assert equal(networks(begun_too[other.name])["model"], weights)
