"""One run has one interval: in its summary.json, in a comparison, and in a study's table, to the last digit."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from helpers_scores import score

from semiseg.comparison.compare import compare
from semiseg.scoring.summary import summarize
from semiseg.scoring.table import read_scores, write_scores
from semiseg.study.folder import StudyFolder
from semiseg.study_report.collect import collect
from semiseg.study_report.tables.study_tables import study_tables

HASHES = {"evaluation_hash": "e" * 64, "cases_hash": "c" * 64, "recipe_hash": "r" * 64}
CLASSES = ("necrosis", "edema", "enhancing")
UNITS = {"dice": "1", "hd95": "mm"}


def scores():
    """37 cases in no order: Dice and HD95 of three classes and a region, some missed and some absent in both."""
    generator = np.random.default_rng(7)
    found = []
    for case in generator.permutation(37):
        for metric, unit in UNITS.items():
            for name in (*CLASSES, "whole tumor"):
                draw, kind = generator.random(), "class" if name in CLASSES else "region"
                value, status = float(generator.beta(5, 2)) * (1 if metric == "dice" else 40), "ok"
                if draw < 0.15:
                    value, status = (0.0 if metric == "dice" else math.inf), "missed"
                elif draw < 0.3:
                    value, status = math.nan, "both_empty"
                about = {"metric": metric, "unit": unit, "definition": f"{metric} 1", "kind": kind, "status": status}
                found.append(score(f"case_{case}", value, class_name=name, checkpoint="last", **about))
    return found


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study of one model that has scores."""
    folder = StudyFolder(tmp_path_factory.mktemp("one") / "study")
    run = folder.run("supervised_4_s1")
    run.path.mkdir(parents=True)
    write_scores(run.scores, scores())
    run.recipe.write_text("name: supervised_4_s1\nseed: 1\n")
    cases = {"labeled": 4, "unlabeled": 0, "validation": 2, "test": 37}
    run.summary.write_text(json.dumps({**HASHES, "cases": cases, "scores": {"policy": "image_diagonal"}}))
    model = {"name": "supervised_4_s1", "run": "supervised_4_s1", "setting": "", "method": "supervised", "labeled": 4}
    about = {"name": "one", "baseline": "supervised", "checkpoint": "last", "published": "", "seeds": [1]}
    evaluation = {"training_cases": 32, "evaluation_hash": HASHES["evaluation_hash"]}
    manifest = {**about, **evaluation, "models": [{**model, "total": 4, "seed": 1, **HASHES}]}
    folder.manifest.write_text(json.dumps(manifest))
    return folder


@pytest.fixture(scope="module")
def summary(study):
    return summarize(read_scores(study.run("supervised_4_s1").scores))["checkpoints"]["last"]


@pytest.mark.parametrize("metric", UNITS)
def test_of_a_run_and_of_a_study_s_table(study, summary, metric):
    (table,) = (table for table in study_tables(collect(study, "last")) if table.key == f"arms_{metric}")
    ((*_, interval, _n, _missed, _spurious, _left_out),) = table.rows
    assert [value for _, value in interval.parts] == summary[metric]["foreground"]["interval"]


@pytest.mark.parametrize("metric", UNITS)
def test_of_a_run_and_of_a_comparison(study, summary, metric, tmp_path):
    run = study.run("supervised_4_s1")
    # The difference from a table of zeros is the run itself.
    zeros = [score if math.isnan(score.value) else replace(score, value=0.0) for score in read_scores(run.scores)]
    write_scores(tmp_path / "zeros.csv", zeros)
    (compared,) = compare([f"zeros={tmp_path / 'zeros.csv'}", f"run={run.path}"], metrics=[metric]).metrics
    intervals = {row.name: list(row.entries[1].interval) for row in compared.rows}
    block = summary[metric]
    expected = {name: part["interval"] for name, part in (block["classes"] | block["regions"]).items()}
    assert intervals == {**expected, "mean of 3 classes": block["foreground"]["interval"]}
