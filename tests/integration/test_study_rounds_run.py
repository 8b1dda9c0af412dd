"""A study whose labeled cases a rule chooses, round by round, as a user runs it."""

import json
from itertools import pairwise

import numpy as np
import pytest
from helpers_processes import run as semiseg
from helpers_reporter import Heard
from ruamel.yaml import YAML
from small_run import SMALL

from semiseg.acquisitions.disagreement import Disagreement
from semiseg.errors import RecipeError
from semiseg.prediction.ensemble import load_runs
from semiseg.progress import Reporter
from semiseg.runs.folder import RunFolder
from semiseg.study.folder import StudyFolder
from semiseg.study.run import run_study
from semiseg.study_report.collect import collect
from semiseg.suggestion.candidates import unlabeled_candidates

STUDY = {
    "name": "rounds",
    "baseline": "cps",
    "matrix": [
        {"strategy": {"name": "cps", "wait_share": 0.3}, "split.labeled": [1, 3]},
        {
            "strategy": {"name": "cps", "wait_share": 0.3},
            "acquisition": "disagreement",
            "split.labeled": [1, 2, 3],
        },
    ],
    "base": {
        **{key: value for key, value in SMALL.items() if key not in {"name", "seed"}},
        "dataset": {"name": "phantom", "cases": 8, "size": [32, 32, 32]},
        "split": {"test": 2, "validation": 1, "labeled": 1},
        "training": {**SMALL["training"], "epochs": 1},
    },
}
CHAIN = ("cps_1_s0", "cps_by_disagreement_2_s0", "cps_by_disagreement_3_s0")


def ids(run, role="labeled"):
    return {case["id"] for case in run.read_split()[role]}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    home = tmp_path_factory.mktemp("rounds")
    with (home / "rounds.yaml").open("w") as file:
        YAML(typ="safe").dump(STUDY, file)
    done = semiseg("study", "run", home / "rounds.yaml", "-o", home / "study", "--jobs", "2")
    assert done.returncode == 0, done.stderr
    assert "All 4 models have scores" in done.stdout
    return home


def test_each_round_adds_the_cases_on_which_the_networks_of_the_round_before_disagree_most(finished):
    runs = [RunFolder(finished / "study/models" / name) for name in CHAIN]
    assert [len(ids(run)) for run in runs] == [1, 2, 3]
    for before, after in pairwise(runs):
        (added,) = ids(after) - ids(before)
        assert ids(before) < ids(after)
        assert ids(before, "test") == ids(after, "test")
        (loaded,) = load_runs([before.path], "last", "cpu", None, Reporter())
        pool = unlabeled_candidates(loaded, Disagreement(), "disagreement", "last", Reporter()).candidates
        best = max(pool, key=lambda one: (bool(one.empty), one.uncertainty))
        assert best.cases == (added,)
        choice = json.loads((finished / "study/choices" / f"{after.path.name}.json").read_text())
        assert choice["chosen"] == [added]
        np.testing.assert_allclose(choice["reasons"][0]["score"], best.uncertainty, rtol=1e-6)


def test_the_report_knows_which_cases_were_chosen(finished):
    found = collect(StudyFolder(finished / "study"), "last")
    assert found.rules == {"cps by disagreement": "disagreement"}
    assert [arm.labeled for arm in found.curve("", "cps by disagreement")] == [2, 3]


def test_a_choice_is_made_once(finished):
    files = sorted((finished / "study/choices").iterdir())
    before = [path.stat().st_mtime_ns for path in files]
    heard = Heard()
    run_study(finished / "rounds.yaml", finished / "study", reporter=heard)
    assert [path.stat().st_mtime_ns for path in files] == before
    assert not any("chooses" in line for line in heard.said)


def test_a_model_whose_round_before_is_left_out_waits_and_that_is_said(finished, tmp_path):
    heard = Heard()
    result = run_study(finished / "rounds.yaml", tmp_path / "part", only=["*_2_s0"], reporter=heard)
    assert result.models == ()
    assert "Note: cps_by_disagreement_2_s0 waits for cps_1_s0, which --only leaves out." in heard.said
    manifest = json.loads((tmp_path / "part/study.json").read_text())
    assert manifest["waiting"] == {CHAIN[1]: CHAIN[0], CHAIN[2]: CHAIN[1]}


def test_rounds_need_a_launcher_of_this_machine(finished):
    with pytest.raises(RecipeError, match="2 models have labeled cases that a rule chooses, which slurm cannot run"):
        run_study(finished / "rounds.yaml", finished / "study", launcher="slurm")
