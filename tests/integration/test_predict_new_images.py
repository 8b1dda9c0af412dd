"""``semiseg predict`` of images of which some cannot be used, have no memory, or are not like the training cases."""

import json

import helpers_volumes as made
import numpy as np
import pytest
import torch
from drawn_run import drawn_run, tied
from helpers_reporter import Heard
from small_run import SMALL

import semiseg as library
from semiseg.engine.runtime import Runtime
from semiseg.errors import DataError, TrainingError
from semiseg.inference.sliding_window import Predictor
from semiseg.pipeline import cost
from semiseg.pipeline.model import new_model
from semiseg.pipeline.plan import make_plan
from semiseg.pipeline.predictions import predict_test_cases
from semiseg.runs.folder import RunFolder


def drawn(tmp_path, name, write, **options):
    recipe = {**SMALL, "dataset": {"name": name, "root": str(write(tmp_path / "data")), **options}}
    recipe |= {"split": {"labeled": 1, "draw": 0}, "training": {**SMALL["training"], "patch_size": [8, 8, 8]}}
    return drawn_run(tmp_path / "run", recipe)


@pytest.fixture
def run(tmp_path):
    """A run of one modality."""
    return drawn(tmp_path, "folder", made.write_folder, classes={"front": 1, "back": 2})


@pytest.mark.parametrize(
    ("name", "write", "options"),
    [("folder", made.write_folder, {"classes": {"front": 1, "back": 2}}), ("decathlon", made.write_decathlon, {})],
)
def test_every_kind_of_bad_image_stops_no_other_and_is_told(tmp_path, name, write, options):
    new = tmp_path / "new"
    holes = made.image(dtype=np.float32)
    holes[0, 0, 0] = np.nan
    images = {
        "a_good": made.image(),
        "b_four": made.image(shape=(9, 8, 7, 2)),
        "c_flat": made.image(shape=(9, 8)),
        "d_holes": holes,
        "e_zero": np.zeros(made.SHAPE, np.int16),
        "f_large": np.full(made.SHAPE, 1e300),
        "z_good": made.image(1),
    }
    for case, array in images.items():
        made.save(new / f"{case}.nii.gz", array)
    (new / "g_none.nii.gz").write_bytes(b"")
    (new / "i_link.nii.gz").symlink_to(tmp_path / "not" / "fetched.nii.gz")
    (new / "h_cut.nii.gz").write_bytes((new / "a_good.nii.gz").read_bytes()[:-20])
    with pytest.raises(DataError) as caught:
        library.predict(drawn(tmp_path, name, write, **options), new, tmp_path / "out")
    told = [str(problem) for problem in caught.value.problems]
    bad = [path.name.split(".")[0] for path in sorted(new.iterdir()) if "good" not in path.name]
    assert len(told) == len(bad) == 8
    assert any("i_link.nii.gz: broken link" in text for text in told)
    assert all(any(case in text for text in told) for case in bad)
    assert caught.value.exit_code == 3
    assert {path.name for path in (tmp_path / "out").glob("*.nii.gz")} == {"a_good.nii.gz", "z_good.nii.gz"}


def test_images_of_which_none_can_be_used_leave_no_folder(run, tmp_path):
    made.save(tmp_path / "new" / "four.nii.gz", made.image(shape=(9, 8, 7, 2)))
    with pytest.raises(DataError, match=r"four\.nii\.gz: its shape is \(9, 8, 7, 2\)"):
        library.predict(run, tmp_path / "new", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_images_named_like_training_cases_are_told(run, tmp_path):
    for name in ("a_1", "b_1", "new"):
        made.save(tmp_path / "new" / f"{name}.nii.gz", made.image())
    heard = Heard()
    library.predict(run, tmp_path / "new", tmp_path / "out", reporter=heard)
    split = json.loads((run / "split.json").read_text())
    ids = {case["id"] for role in ("labeled", "unlabeled", "validation") for case in split[role]} & {"a_1", "b_1"}
    assert ids
    (told,) = [text for text in heard.said if "training or validation" in text]
    assert told.endswith(f" of the run, so this says nothing about new images: {', '.join(sorted(ids))}.")
    (run / "split.json").unlink()
    heard = Heard()
    library.predict(run, tmp_path / "new", tmp_path / "again", reporter=heard)
    assert not [text for text in heard.said if "training or validation" in text]


def test_a_case_that_lacks_a_modality_stops_no_other(tmp_path):
    recipe = {"classes": {"front": 1, "back": 2}, "modalities": ["t1", "t2"]}
    run = drawn(tmp_path, "folder", lambda root: made.write_folder(root, modalities=2), **recipe)
    for name in ("a_0000", "a_0001", "b_0000", "c_0000", "c_0001"):
        made.save(tmp_path / "new" / f"{name}.nii.gz", made.image())
    heard = Heard()
    with pytest.raises(DataError, match=r"^case b: modality _0001 \(t2\) is missing") as caught:
        library.predict(run, tmp_path / "new", tmp_path / "out", reporter=heard)
    assert caught.value.exit_code == 3
    assert {path.name for path in (tmp_path / "out").glob("*.nii.gz")} == {"a.nii.gz", "c.nii.gz"}
    for name in ("c_0000", "c_0001"):
        (tmp_path / "new" / f"{name}.nii.gz").unlink()
    with pytest.raises(DataError, match="case b: modality"):  # which case would the file be of?
        library.predict(run, tmp_path / "new", tmp_path / "one.nii.gz")
    assert not (tmp_path / "one.nii.gz").exists()
    assert f"Note: 2 predictions written to {tmp_path / 'out'}; the problems of the others follow." in heard.said


@pytest.mark.parametrize("ask", [lambda: np.empty(1 << 60, np.uint8), lambda: torch.empty(1 << 60, dtype=torch.uint8)])
def test_a_case_without_memory_is_told_and_the_others_are_predicted(run, tmp_path, monkeypatch, ask):
    for case, seed in (("a", 0), ("b", 1), ("c", 2)):
        made.save(tmp_path / "new" / f"{case}.nii.gz", made.image(seed))
    predicted, calls = Predictor.probabilities, []

    def probabilities(self, image, slice_axis):
        calls.append(image)
        if len(calls) == 2:
            ask()
        return predicted(self, image)

    monkeypatch.setattr(Predictor, "probabilities", probabilities)
    with pytest.raises(TrainingError, match=r"^case b: Memory ran out \(.*locate") as caught:
        library.predict(run, tmp_path / "new", tmp_path / "out")
    assert caught.value.exit_code == 5
    assert "--resume" not in str(caught.value)
    assert {path.name for path in (tmp_path / "out").glob("*.nii.gz")} == {"a.nii.gz", "c.nii.gz"}
    assert len(library.predict(run, tmp_path / "new", tmp_path / "out")) == 3  # now there is memory


def test_much_memory_is_told_before_new_images_and_before_test_cases(run, tmp_path, monkeypatch):
    monkeypatch.setattr(cost, "MUCH_MEMORY", 20_000)  # bytes: 9 x 8 x 7 voxels take less
    made.save(tmp_path / "new" / "large.nii.gz", made.image(shape=(10, 9, 8)))
    heard = Heard()
    library.predict(run, tmp_path / "new", tmp_path / "out", reporter=heard)
    (told,) = [text for text in heard.said if "memory" in text]
    assert told == "Note: prediction takes about 12 MiB of memory for large (10 x 9 x 8 voxels, 3 classes)."
    plan = make_plan(library.load_recipe(SMALL))
    runtime, heard = Runtime("cpu", "32"), Heard()
    folder = RunFolder(drawn_run(tmp_path / "other", SMALL))
    predict_test_cases(plan, new_model(plan, runtime), folder, False, runtime, heard)
    (told,) = [text for text in heard.said if "memory" in text]
    assert f"for {plan.split.test[0].id} (32 x 32 x 32 voxels, 4 classes)" in told


def notes(run, tmp_path, sizes):
    for case, size in sizes.items():
        made.save(tmp_path / "new" / f"{case}.nii.gz", made.image(), np.diag([size, size, size, 1.0]))
    heard = Heard()
    library.predict(run, tmp_path / "new", tmp_path / "out", reporter=heard)
    return [text for text in heard.said if text.startswith("Note") and "spacing" in text]


def test_images_spaced_otherwise_than_the_training_cases_are_noted(run, tmp_path):
    tied(run, spacing={"unit": "mm", "min": [0.9, 0.9, 1], "median": [1, 1, 1], "max": [1, 1, 1]})
    (note,) = notes(run, tmp_path, {"coarse": 3.0, "fine": 0.4, "like": 1.2})
    assert (
        "2 images have a clearly different spacing from the training cases, whose voxels are 0.9 to 1 x 0.9 to 1 x 1 mm"
        in note
    )
    assert "coarse (3 x 3 x 3), fine (0.4 x 0.4 x 0.4). Images are not resampled" in note
    assert "like" not in note.split("Images")[0].split(":")[-1]


def test_a_run_that_did_not_keep_its_spacing_predicts_as_before(run, tmp_path):
    record = json.loads((run / "model.json").read_text())
    del record["spacing"]
    (run / "model.json").write_text(json.dumps(record))
    tied(run)
    assert notes(run, tmp_path, {"coarse": 3.0}) == []
