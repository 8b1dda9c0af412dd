"""A study as a user runs it: planned, run by real processes that are killed, resumed, and reported."""

import csv
import json
import os
import shutil
import signal
import time

import pytest
from helpers_processes import Command
from helpers_processes import run as semiseg
from helpers_reporter import Heard
from PIL import Image
from ruamel.yaml import YAML
from small_run import SMALL

from semiseg.errors import DataError
from semiseg.runs.checkpoint import file_digest, load_state
from semiseg.study.folder import StudyFolder
from semiseg.study_report.collect import collect
from semiseg.study_report.report import report_study

STUDY = {
    "name": "small_study",
    "seeds": [1, 2],
    "matrix": [
        {"strategy": "supervised", "split.labeled": [2, 4]},
        {"strategy": {"name": "cps", "wait_share": 0.3}, "split.labeled": 2},
    ],
    "base": {
        **{key: value for key, value in SMALL.items() if key not in {"name", "seed"}},
        "dataset": {"name": "phantom", "cases": 10, "size": [32, 32, 32]},
        "split": {"test": 4, "validation": 1, "labeled": 2, "total": 4},
    },
}
N_MODELS = 6


def write(path, study):
    with path.open("w") as file:
        YAML(typ="safe").dump(study, file)
    return path


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    return write(tmp_path_factory.mktemp("recipe") / "small_study.yaml", STUDY)


def start(recipe, folder):
    return Command("study", "run", recipe, "-o", folder, "--jobs", "2")


def wait_for(process, happened, seconds=240):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := happened():
            return found
        assert process.poll() is None, f"the study ended before it was killed: {process.stderr.read()[-2000:]}"
        time.sleep(0.005)
    raise AssertionError("waited too long")


def finished(folder):
    return {path.parent.name: path.stat().st_mtime_ns for path in folder.glob("models/*/summary.json")}


def holders(folder):
    """The processes of runs that have begun to save checkpoints, by model."""
    found = {}
    for lock in folder.glob("models/*/lock.json"):
        if any((lock.parent / "checkpoints").glob("step-*.pt")):
            try:
                found[lock.parent.name] = json.loads(lock.read_text())["pid"]
            except (OSError, ValueError):
                continue
    return found


def held(folder):
    """Of these runs those that have not ended, stopped where they are, by model."""
    found = {}
    for name, pid in holders(folder).items():
        try:
            os.kill(pid, signal.SIGSTOP)
            time.sleep(0.05)
            if name in finished(folder):
                os.kill(pid, signal.SIGCONT)
            else:
                found[name] = pid
        except ProcessLookupError:
            continue
    return found


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.communicate()


def weights(run):
    return {key: value.numpy().tobytes() for key, value in load_state(run / "checkpoints/last.pt")["strategy"].items()}


@pytest.fixture(scope="module")
def killed(recipe, tmp_path_factory):
    """A study that was killed twice: its command alone, then with the runs that it had started."""
    folder = tmp_path_factory.mktemp("study") / "study"
    first = start(recipe, folder)
    wait_for(first, lambda: len(finished(folder)) >= 1 and holders(folder))
    kill(first)

    second = start(recipe, folder)
    half = wait_for(second, lambda: len(finished(folder)) >= N_MODELS // 3 and held(folder))
    kept = finished(folder)
    kill(second)
    for pid in half.values():
        os.kill(pid, signal.SIGKILL)
    for lock in folder.glob("models/*/lock.json"):
        try:
            os.kill(json.loads(lock.read_text())["pid"], signal.SIGKILL)
        except (OSError, ValueError):
            continue
    return folder, kept, set(half)


@pytest.fixture(scope="module")
def killed_and_resumed(recipe, killed):
    folder, kept, half = killed
    return folder, kept, half, semiseg("study", "run", recipe, "-o", folder, "--jobs", "2")


@pytest.mark.slow
def test_killed_half_way_some_models_are_whole_and_some_have_no_scores(killed):
    folder, kept, half = killed
    assert len(kept) >= N_MODELS // 3
    assert half
    for name in half:
        assert any((folder / f"models/{name}/checkpoints").glob("step-*.pt"))
        assert not (folder / f"models/{name}/summary.json").exists()


@pytest.mark.slow
def test_killed_half_way_it_goes_on_and_ends_as_if_nothing_had_been(killed_and_resumed, tmp_path):
    folder, kept, half, said = killed_and_resumed
    assert len(finished(folder)) == N_MODELS
    assert f"All {N_MODELS} models have scores" in said.stdout
    assert kept.items() <= finished(folder).items(), "finished models were trained again"
    name = min(half)
    alone = tmp_path / "alone"
    # With as many threads as the study gave it: with more, sums are taken in another order.
    threads = json.loads((folder / f"models/{name}/environment.json").read_text())["torch_threads"]
    semiseg("run", folder / f"recipes/{name}.yaml", "-o", alone, OMP_NUM_THREADS=str(threads))
    assert weights(folder / f"models/{name}") == weights(alone)
    assert (folder / f"models/{name}/scores.csv").read_text() == (alone / "scores.csv").read_text()


@pytest.mark.slow
def test_every_model_carries_both_hashes_and_shares_its_test_cases(killed_and_resumed):
    folder = killed_and_resumed[0]
    manifest = json.loads((folder / "study.json").read_text())
    splits = {p.parent.name: json.loads(p.read_text()) for p in folder.glob("models/*/split.json")}
    for model in manifest["models"]:
        split = splits[model["run"]]
        assert (model["evaluation_hash"], model["cases_hash"]) == (split["evaluation_hash"], split["cases_hash"])
        assert len(split["labeled"]) == model["labeled"]
    assert len({split["evaluation_hash"] for split in splits.values()}) == 1
    labeled = {name: {case["id"] for case in split["labeled"]} for name, split in splits.items()}
    for seed in (1, 2):
        assert labeled[f"supervised_2_s{seed}"] < labeled[f"supervised_4_s{seed}"]
        assert labeled[f"cps_2_s{seed}"] == labeled[f"supervised_2_s{seed}"]
    assert labeled["cps_2_s1"] != labeled["cps_2_s2"]


@pytest.mark.slow
def test_run_again_it_trains_nothing(killed_and_resumed, recipe):
    folder, before = killed_and_resumed[0], finished(killed_and_resumed[0])
    done = semiseg("study", "run", recipe, "-o", folder)
    assert finished(folder) == before
    assert "running" not in done.stderr


@pytest.mark.slow
def test_it_is_reported(killed_and_resumed):
    folder = killed_and_resumed[0]
    done = semiseg("study", "report", folder)
    report = folder / "report"
    for ending in ("txt", "csv", "md", "tex"):
        assert (report / f"tables/compared_dice.{ending}").stat().st_size
        assert (report / f"tables/compared_hd95.{ending}").stat().st_size
    # So short a training teaches no model to segment, of which nothing is concluded.
    assert "No model here has learned to segment: the best baseline, supervised with" in done.stdout
    assert "Did the method help?" not in done.stdout
    assert not (report / "figures/savings.svg").exists()
    for figure in ("curves_dice", "curves_hd95", "training"):
        assert (report / f"figures/{figure}.svg").read_text().startswith("<?xml")
        assert (report / f"figures/{figure}.png").read_bytes().startswith(b"\x89PNG")
    with (report / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["run"] for row in rows} == set(finished(folder))
    assert {row["checkpoint"] for row in rows} == {"last", "best"}
    page = (report / "report.html").read_text()
    assert "cps_2_s2" in page
    assert "not judged: " in page.lower()
    openings = (folder / "models/cps_2_s1/test_openings.jsonl").read_text().splitlines()
    # For the worst and for the first cases.
    assert [json.loads(line)["purpose"] for line in openings] == ["run", "study report", "study report"]
    # Image, reference, supervised and cps with 2 labels, and supervised with all 4.
    with Image.open(report / "preview.png") as picture:
        assert picture.width == 8 + 5 * (256 + 8)


@pytest.mark.slow
def test_an_unfinished_study_is_reported_with_what_is_missing(killed_and_resumed, tmp_path):
    folder = killed_and_resumed[0]
    hidden = folder / "models/cps_2_s2/summary.json"
    aside = hidden.rename(tmp_path / "summary.json")
    try:
        result = report_study(folder, tmp_path / "report", checkpoint="best")
    finally:
        aside.rename(hidden)
    assert "1 model without scores yet: cps_2_s2." in result.summary
    assert "best weights" in result.summary[0]
    assert result.page == tmp_path / "report/report.html"


@pytest.mark.slow
def test_scores_of_other_cases_are_refused(killed_and_resumed, tmp_path):
    folder = shutil.copytree(killed_and_resumed[0], tmp_path / "study")
    manifest = json.loads((folder / "study.json").read_text())
    manifest["models"][0]["cases_hash"] = "another"
    manifest["models"][3]["evaluation_hash"] = "another"
    manifest["models"][4]["recipe_hash"] = "another"
    (folder / "study.json").write_text(json.dumps(manifest))
    with pytest.raises(DataError) as caught:
        collect(StudyFolder(folder), "last")
    assert len(caught.value.problems) == 3
    assert "supervised_2_s1: has the cases_hash" in str(caught.value)
    assert "the study another" in str(caught.value)


@pytest.mark.slow
def test_scores_that_cannot_be_read_cost_nobody_those_of_the_others(killed_and_resumed, tmp_path):
    folder = shutil.copytree(killed_and_resumed[0], tmp_path / "study")
    (folder / "models/cps_2_s2/scores.csv").write_text("run,checkpoint,ca")
    with (folder / "models/cps_2_s1/log.jsonl").open("a") as log:
        log.write('{"epoch": 9, "tr')
    results = collect(StudyFolder(folder), "last")
    assert [name.split(" (")[0] for name in results.missing] == ["cps_2_s2"]
    assert sum(len(arm.runs) for arm in results.arms) == N_MODELS - 1


@pytest.mark.slow
def test_worst_cases_that_cannot_be_read_cost_nobody_the_report(killed_and_resumed, tmp_path):
    folder = shutil.copytree(killed_and_resumed[0], tmp_path / "study")
    shutil.rmtree(folder / "models/cps_2_s1/predictions")
    heard = Heard()
    result = report_study(folder, reporter=heard)
    page = result.page.read_text()
    assert "The worst cases cannot be shown" in page
    (note,) = heard.said
    assert note.startswith("Note: The first test cases cannot be shown: ")
    assert not (folder / "report/preview.png").exists()
    assert "canvas" not in page.split("<main")[1].split("<script")[0]


@pytest.mark.slow
def test_a_folder_without_a_study_is_refused(tmp_path):
    done = semiseg("study", "report", tmp_path, check=False)
    assert done.returncode == 4
    assert "contains no study" in done.stderr


@pytest.mark.slow
def test_an_extended_study_keeps_what_it_has(killed_and_resumed, recipe, tmp_path):
    """With another total the models' names change; those that come to the same are found by their recipes."""
    folder = killed_and_resumed[0]
    study = json.loads(json.dumps(STUDY))
    study["matrix"].append({"strategy": {"name": "cps", "wait_share": 0.3}, "split.labeled": 2, "split.total": 3})
    extended = write(tmp_path / "extended.yaml", study)
    before = finished(folder)
    semiseg("study", "run", extended, "-o", folder, "--jobs", "2")
    assert set(finished(folder)) - set(before) == {"cps_2of3_s1", "cps_2of3_s2"}
    assert before.items() <= finished(folder).items()
    runs = {m["name"]: m["run"] for m in json.loads((folder / "study.json").read_text())["models"]}
    assert runs["cps_2of4_s1"] == "cps_2_s1"


@pytest.mark.slow
def test_a_changed_recipe_is_refused_before_anything_runs(killed_and_resumed, recipe):
    done = semiseg("study", "run", recipe, "-o", killed_and_resumed[0], "--set", "training.epochs=4", check=False)
    assert done.returncode == 4
    assert "cps_2_s1: training.epochs: was 3, is 4" in done.stderr
    assert "supervised_2_s1: training.epochs: was 3, is 4" in done.stderr


@pytest.mark.slow
def test_a_failed_model_leaves_the_rest_and_is_shown_with_its_log(tmp_path):
    study = json.loads(json.dumps(STUDY))
    study["seeds"] = [1]
    study["matrix"] = [{"strategy": "supervised", "training.optimizer.lr": [1e30, 1e-3]}]
    folder, recipe = tmp_path / "study", write(tmp_path / "failing.yaml", study)
    done = semiseg("study", "run", recipe, "-o", folder, check=False)
    assert done.returncode == 5
    assert "1 of 2 models failed; 1 have their scores." in done.stderr
    assert "lr-1e+30_supervised_2_s1: ended with exit code 5" in done.stderr
    assert "loss = nan" in done.stderr
    assert "To run it alone: semiseg run " in done.stderr
    assert set(finished(folder)) == {"lr-0.001_supervised_2_s1"}
    again = semiseg("study", "run", recipe, "-o", folder, check=False)
    assert again.returncode == 5
    assert "lr-0.001_supervised_2_s1: kept" in again.stderr


@pytest.mark.slow
def test_some_models_can_be_run_alone(recipe, tmp_path):
    folder = tmp_path / "study"
    done = semiseg("study", "run", recipe, "-o", folder, "--only", "supervised_2_*1", "--only", "cps_2_s1")
    assert set(finished(folder)) == {"supervised_2_s1", "cps_2_s1"}
    assert "2 models have scores" in done.stdout
    refused = semiseg("study", "run", recipe, "-o", folder, "--only", "csp_*", check=False)
    assert refused.returncode == 2
    assert "no model is called 'csp_*'" in refused.stderr
    assert "cps_2_s1" in refused.stderr

    # Their test cases are predicted in another way, with the weights that they have.
    before, weights = finished(folder), folder / "models" / "supervised_2_s1" / "checkpoints" / "last.pt"
    trained = file_digest(weights)
    largest = ("--only", "*_2_s1", "--set", "inference.postprocess=largest_component")
    done = semiseg("study", "run", recipe, "-o", folder, *largest)
    assert "2 models will be predicted or scored again, without new training" in done.stderr
    assert "2 models have scores" in done.stdout
    after = finished(folder)
    assert after.keys() == before.keys()
    assert all(after[name] != before[name] for name in before)
    assert file_digest(weights) == trained
    assert len(collect(StudyFolder(folder), "last").arms) == 2
    again = semiseg("study", "run", recipe, "-o", folder, *largest)
    assert "supervised_2_s1: kept" in again.stderr


@pytest.mark.slow
def test_ctrl_c_saves_the_running_models(recipe, tmp_path):
    folder = tmp_path / "study"
    process = start(recipe, folder)
    wait_for(process, lambda: holders(folder))
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert "run the same command again" in said
    assert "--resume" not in said
    assert not list(folder.glob("models/*/lock.json"))


def test_without_data_all_problems_are_told_at_once(recipe, tmp_path):
    study = json.loads(json.dumps(STUDY))
    study["base"]["dataset"] = {"name": "brats", "root": str(tmp_path / "nowhere")}
    done = semiseg("study", "run", write(tmp_path / "x.yaml", study), "-o", tmp_path / "study", check=False)
    assert done.returncode == 3  # of data, as `semiseg run` has it
    assert "nowhere" in done.stderr
    assert not (tmp_path / "study/models").exists()
