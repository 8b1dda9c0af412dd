"""``semiseg suggest``: which unlabeled cases are chosen, what is written for them, and what is refused."""

import csv
import json
import re
import time

import helpers_pictures
import nibabel as nib
import numpy as np
import pytest
import torch
from drawn_run import copied_to, drawn_run
from helpers_processes import Command
from helpers_processes import run as semiseg
from helpers_reporter import Heard
from PIL import Image
from small_run import SMALL, of_pictures

import semiseg as library
from semiseg.errors import ComponentError, DataError, RunError
from semiseg.io.formats.segments import read_segments, read_slicer_label
from semiseg.pipeline.plan import make_plan
from semiseg.suggestion.measuring import Measuring
from semiseg.suggestion.record import read_suggestion

MORE = ("dataset.cases=10", "split.total=8")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return drawn_run(tmp_path_factory.mktemp("drawn") / "run", SMALL, *MORE)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """A run of a method with one network."""
    return drawn_run(tmp_path_factory.mktemp("alone") / "run", SMALL, *MORE, "strategy=supervised")


@pytest.fixture(scope="module")
def unlabeled(run):
    return {case["id"] for case in json.loads((run / "split.json").read_text())["unlabeled"]}


@pytest.fixture(scope="module")
def found(run, tmp_path_factory):
    return library.suggest(run, tmp_path_factory.mktemp("suggested") / "round", by="disagreement", n=2, slices=3)


def test_the_most_uncertain_unlabeled_cases_are_chosen(run, unlabeled, found, tmp_path):
    every = library.suggest(run, tmp_path / "all", by="disagreement", n=99)
    assert {case.case for case in every.cases} == unlabeled
    scores = [case.score for case in every.cases]
    assert scores == sorted(scores, reverse=True)
    assert [case.case for case in found.cases] == [case.case for case in every.cases[:2]]
    assert found.counts == {"patients": 6, "cases": 6, "empty": 0, "networks": 2}
    assert re.match(r"Suggestion in .*round: 2 cases of 6 by disagreement\n    1  Phantom_", repr(found))


def test_the_score_is_the_share_of_differing_voxels_among_those_predicted(run, found):
    """Computed anew from the probabilities of each network, in the whole image."""
    from semiseg.engine.runtime import Runtime
    from semiseg.inference.image import Ensemble, Limit, Member
    from semiseg.pipeline.model import kept_model

    kept = kept_model(run)
    model = kept.load("best", Runtime("cpu", "32"))
    dataset = make_plan(library.load_recipe(SMALL, MORE)).components.dataset
    case = next(case for case in dataset.cases() if case.id == found.cases[0].case)
    labels = []
    for role in model.strategy.predicting:
        member = Member(model.predictor("cpu", role), model.recipe.preprocessing, model.info.modalities)
        labels.append(Ensemble([member], 4, Limit.of("auto")).predict(dataset.read_image(case)))
    differ, foreground = labels[0] != labels[1], (labels[0] > 0) | (labels[1] > 0)
    assert found.cases[0].score == pytest.approx(differ.sum() / foreground.sum())
    drawn = nib.load(found.folder / "uncertainty" / f"{case.id}.nii.gz")
    np.testing.assert_allclose(drawn.get_fdata(), differ, atol=1e-4)
    np.testing.assert_array_equal(drawn.affine, dataset.read_geometry(case).affine)


def test_the_folder_holds_what_an_annotator_opens(run, found):
    with (found.folder / "suggestions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["case"] for row in rows] == [case.case for case in found.cases]
    info = make_plan(library.load_recipe(SMALL, MORE)).info
    for row in rows:
        images = [found.folder / path for path in row["image"].split("; ")]
        assert len(images) == 4
        assert all(nib.load(path).shape == (32, 32, 32) for path in images)
        proposal = np.asarray(nib.load(found.folder / row["proposal"]).dataobj)
        for values in (None, dict(zip(info.classes, info.class_values, strict=True))):
            label, geometry = read_slicer_label(found.folder / f"proposals/{row['case']}.seg.nrrd", values)
            np.testing.assert_array_equal(label, proposal)
        np.testing.assert_allclose(geometry.affine, nib.load(images[0]).affine, atol=1e-6)
        segments = read_segments(found.folder / f"proposals/{row['case']}.seg.nrrd")
        assert {segment.name: segment.value for segment in segments} == {"necrosis": 1, "edema": 2, "enhancing": 4}
        assert re.match(r"axial slices (\d+ \(S \d+\.0 mm\)(, )?){3} of 32", row["slices"])
    assert (found.folder / "labels").is_dir()
    assert not (found.folder / "progress.jsonl").exists()
    page = (found.folder / "index.html").read_text()
    for case in found.cases:
        assert page.count(f'alt="{case.case}, axial slice') == 3
        assert case.reason[1:] in page
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org", "")
    assert read_suggestion(found.folder) == found


def test_members_of_several_runs_predict_together_and_the_same_call_changes_nothing(run, alone, found, tmp_path):
    together = library.suggest([run, alone], tmp_path / "out", by="disagreement", n=2)
    assert together.counts["networks"] == 3
    heard, before = Heard(), {p: p.stat().st_mtime_ns for p in found.folder.rglob("*") if p.is_file()}
    again = library.suggest(run, found.folder, by="disagreement", n=2, slices=3, reporter=heard)
    assert again == found
    assert "holds this suggestion already" in heard.said[-1]
    assert {p: p.stat().st_mtime_ns for p in found.folder.rglob("*") if p.is_file()} == before
    with pytest.raises(RunError, match="another suggestion: n 2 instead of 3"):
        library.suggest(run, found.folder, by="disagreement", n=3, slices=3)


@pytest.mark.parametrize(
    ("by", "options"), [("entropy", {}), ("diversity", {}), ("hybrid", {"pool": 2}), ("random", {})]
)
def test_every_rule_chooses_the_same_for_a_seed(run, unlabeled, tmp_path, by, options):
    one = library.suggest(run, tmp_path / "one", by=by, n=3, options=options, seed=5)
    two = library.suggest(run, tmp_path / "two", by=by, n=3, options=options, seed=5)
    assert [(case.case, case.score, case.reason) for case in one.cases] == [
        (case.case, case.score, case.reason) for case in two.cases
    ]
    assert len({case.case for case in one.cases} & unlabeled) == 3
    if by == "diversity":
        assert "nearest of 2 labeled cases" in one.cases[0].reason


def test_killed_while_measuring_it_goes_on_there(run, found, tmp_path, monkeypatch):
    folder = tmp_path / "out"
    process = Command("suggest", run, "--by", "disagreement", "-n", "2", "--slices", "3", "-o", folder)
    progress, end = folder / "progress.jsonl", time.monotonic() + 60
    while not (progress.exists() and progress.read_bytes().count(b"\n")) and time.monotonic() < end:
        time.sleep(0.002)
    process.kill()
    process.communicate()
    done = [json.loads(line)["case"] for line in progress.read_text().splitlines(keepends=True) if line.endswith("\n")]
    with pytest.raises(RunError, match="not finished"):
        read_suggestion(folder)
    progress.write_text(progress.read_text() + '{"case": "Phant')  # cut off by a kill
    measured, measure = [], Measuring.measure
    monkeypatch.setattr(
        Measuring, "measure", lambda self, case, data: measured.append(case.id) or measure(self, case, data)
    )
    resumed = library.suggest(run, folder, by="disagreement", n=2, slices=3)
    assert done
    assert len(measured) == 6 - len(done)
    assert not {*measured} & {*done}
    for path in found.folder.rglob("*.*"):
        if path.name not in ("suggestion.json", "index.html"):
            assert (folder / path.relative_to(found.folder)).read_bytes() == path.read_bytes()
    assert resumed.cases == found.cases


def test_images_of_a_folder(run, tmp_path):
    cases = make_plan(library.load_recipe(run / "recipe.yaml")).split
    new = copied_to(tmp_path / "new", [*cases.unlabeled[:2], cases.labeled[0], cases.test[0]])
    for path in sorted(new.glob(f"{cases.unlabeled[0].id}*")):
        path.rename(path.with_name(path.name.replace(cases.unlabeled[0].id, "Phantom_901")))
    heard = Heard()
    found = library.suggest(run, tmp_path / "out", by="diversity", images=new, n=5, reporter=heard)
    assert sorted(case.case for case in found.cases) == [cases.unlabeled[1].id, "Phantom_901"]
    said = "\n".join(heard.said)
    assert f"1 image is named like labeled cases of the runs and left out: {cases.labeled[0].id}" in said
    assert f"1 image is named like test cases of the runs and left out: {cases.test[0].id}" in said
    assert "there are only 2 patients to choose from" in said


def test_an_unusable_image_is_reported_and_no_case_is_chosen(run, tmp_path):
    new = copied_to(tmp_path / "new", make_plan(library.load_recipe(run / "recipe.yaml")).split.unlabeled[:2])
    broken = sorted(new.iterdir())[0]
    broken.write_bytes(broken.read_bytes()[:-50])
    with pytest.raises(DataError, match=re.escape(broken.name)):
        library.suggest(run, tmp_path / "out", by="entropy", images=new)
    assert (
        not (tmp_path / "out" / "suggestion.json").exists() or "false" in (tmp_path / "out/suggestion.json").read_text()
    )


def opened(path):
    with Image.open(path) as image:
        return np.asarray(image)


def test_patients_stay_together(tmp_path):
    helpers_pictures.write_pictures(tmp_path / "photos", labeled=4, unlabeled=6)
    for number in range(4, 10):
        path = tmp_path / "photos/unlabeled/images" / f"p_{number:02d}.png"
        path.rename(path.with_name(f"q{number // 2}_{number % 2}.png"))
    for path in (tmp_path / "photos/labeled").rglob("*.png"):
        path.rename(path.with_name(path.name.replace("p_0", "p").replace(".png", "_0.png")))
    split = {"labeled": 2, "validation": 1, "test": 1}
    recipe = of_pictures(tmp_path / "photos", split, patient="(.+)_")
    run = drawn_run(tmp_path / "run", recipe)
    for place in (None, tmp_path / "photos/unlabeled/images"):
        found = library.suggest(run, tmp_path / f"out-{place is None}", by="entropy", n=2, images=place)
        assert len(found.cases) == 4
        assert [case.rank for case in found.cases] == [1, 1, 2, 2]
        assert all(case.case.startswith(case.patient) for case in found.cases)
        for case in found.cases:
            assert case.proposal == f"proposals/{case.case}.png"
            assert set(np.unique(opened(found.folder / case.proposal))) <= {0, 255}
            assert opened(found.folder / "uncertainty" / f"{case.case}.png").shape == (32, 40)
            assert (found.folder / case.image[0]).resolve().parent.name == "images"
            assert case.slices == ""


def test_what_is_refused(run, alone, tmp_path):
    with pytest.raises(RunError, match=r"needs 2 networks, but 1 network predicts\.\n.*further run.*--by entropy"):
        library.suggest(alone, tmp_path / "out", by="disagreement")
    with pytest.raises(ComponentError, match=r"(?s)disagrement.*Did you mean 'disagreement'"):
        library.suggest(run, tmp_path / "out", by="disagrement")
    with pytest.raises(ComponentError, match=r"(?s)size.*Options of hybrid: name, pool"):
        library.suggest(run, tmp_path / "out", by="hybrid", options={"size": 3})
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    with pytest.raises(RunError, match="not empty and holds no suggestion"):
        library.suggest(run, tmp_path / "mine", by="entropy")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]
    whole = drawn_run(tmp_path / "whole", SMALL, "split.total=labeled")
    with pytest.raises(RunError, match=r"(?s)no unlabeled cases.*--images"):
        library.suggest(whole, tmp_path / "out", by="entropy")
    done = semiseg(
        "suggest", alone, "--by", "hybrid", "--set", "pool=2", "-n", "1", "-o", tmp_path / "cli", "-q", check=False
    )
    assert done.returncode == 0, done.stderr
    assert "1 case of 6 by hybrid" in done.stdout


def test_features_need_a_network_in_parts(run, monkeypatch):
    """A backbone without the capability is named, with what to do."""
    from semiseg.engine.runtime import Runtime
    from semiseg.pipeline.model import kept_model
    from semiseg.progress import Reporter
    from semiseg.suggestion import networks
    from semiseg.suggestion.suggest import find_rule

    kept = kept_model(run)
    loaded = networks.LoadedRun(kept, kept.load("best", Runtime("cpu", "32")), Runtime("cpu", "32"), "", False)
    found = networks.find_networks([loaded], "best", None, Reporter())
    networks.require_fitting(find_rule("diversity", {}), "diversity", found, [loaded])
    role = loaded.model.strategy.predicting[0]
    monkeypatch.setitem(loaded.model.strategy.networks._modules, role, torch.nn.Conv3d(4, 4, 1))
    with pytest.raises(RunError, match=r"(?s)needs features, which its backbone unet does not offer .*unet.*entropy"):
        networks.require_fitting(find_rule("diversity", {}), "diversity", found, [loaded])
