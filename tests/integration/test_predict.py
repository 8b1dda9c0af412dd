"""``semiseg predict`` into a folder that is used: whose predictions it holds, and what is kept of a stopped call."""

import json
import shutil
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from drawn_run import copied_to, drawn_run
from helpers_processes import Command
from helpers_processes import run as semiseg
from helpers_reporter import Heard
from small_run import SMALL

import semiseg as library
from semiseg.errors import DataError, RunError
from semiseg.io.lock import locked
from semiseg.pipeline.plan import make_plan


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return drawn_run(tmp_path_factory.mktemp("drawn") / "run", SMALL)


@pytest.fixture(scope="module")
def two_cases():
    """The image files of two cases."""
    return [case.images for case in make_plan(library.load_recipe(SMALL)).cases[:2]]


@pytest.fixture
def images(tmp_path):
    """A folder with two cases."""
    return copied_to(tmp_path / "new", make_plan(library.load_recipe(SMALL)).cases[:2])


def contents(folder):
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def test_what_the_same_weights_made_of_the_same_images_is_kept(run, images, two_cases, tmp_path):
    (first,) = library.predict(run, list(two_cases[0]), tmp_path / "out")
    before = first.stat().st_mtime_ns, first.read_bytes()
    again = library.predict(run, images, tmp_path / "out")  # the same images elsewhere, and one more case
    assert [path.name for path in again] == ["Phantom_000.nii.gz", "Phantom_001.nii.gz"]
    assert (first.stat().st_mtime_ns, first.read_bytes()) == before
    assert contents(tmp_path / "out").keys() == {"Phantom_000.nii.gz", "Phantom_001.nii.gz", "predictions.json"}


@pytest.mark.parametrize(
    "damage",
    [lambda data: data[:40] + bytes([data[40] ^ 1]) + data[41:], lambda data: data[:-9], lambda data: b""],
    ids=["a bit flipped", "cut", "emptied"],
)
def test_what_is_not_as_it_was_written_is_made_again_and_said(run, images, tmp_path, damage):
    first, second = library.predict(run, images, tmp_path / "out")
    whole, then = first.read_bytes(), second.stat().st_mtime_ns
    first.write_bytes(damage(whole))
    heard = Heard()
    library.predict(run, images, tmp_path / "out", reporter=heard)
    assert first.read_bytes() == whole
    assert second.stat().st_mtime_ns == then
    assert (tmp_path / "out" / "Phantom_000.nii.gz.changed").read_bytes() == damage(whole)  # may be a correction
    assert [text for text in heard.said if "Phantom_000" in text] == [
        "Note: predicted again, because predictions.json has no matching digest: Phantom_000.nii.gz.",
        "Note: the previous Phantom_000.nii.gz is kept as Phantom_000.nii.gz.changed.",
    ]
    first.write_bytes(b"again")
    library.predict(run, images, tmp_path / "out")
    assert (tmp_path / "out" / "Phantom_000.nii.gz.changed-2").read_bytes() == b"again"


def test_predictions_of_a_note_without_digests_are_made_again_once(run, images, tmp_path):
    first, second = library.predict(run, images, tmp_path / "out")
    whole, then = first.read_bytes(), second.stat().st_mtime_ns
    note = tmp_path / "out" / "predictions.json"
    record = json.loads(note.read_text())
    del record["sha256"]
    note.write_text(json.dumps(record))
    first.write_bytes(whole[:-1])
    for expected in (["Phantom_000.nii.gz, Phantom_001.nii.gz.", "Phantom_000.nii.gz.changed."], []):
        heard = Heard()
        library.predict(run, images, tmp_path / "out", reporter=heard)
        told = [text for text in heard.said if "Phantom_000" in text]
        assert len(told) == len(expected)
        assert all(text.endswith(end) for text, end in zip(told, expected, strict=True))
        assert (first.read_bytes(), second.stat().st_mtime_ns) == (whole, then)


@pytest.mark.parametrize("name", ["seg.nii.gz", "deep/seg.nii"])
def test_one_case_into_one_new_file(run, two_cases, tmp_path, name):
    (in_a_folder,) = library.predict(run, list(two_cases[0]), tmp_path / "folder")
    target = tmp_path / "one" / name
    assert library.predict(run, list(two_cases[0]), target) == [target]
    assert contents(target.parent).keys() == {target.name}
    found, expected = nib.load(target), nib.load(in_a_folder)
    np.testing.assert_array_equal(found.get_fdata(), expected.get_fdata())
    np.testing.assert_array_equal(found.affine, expected.affine)
    target.write_bytes(b"a colleague's work")
    with pytest.raises(RunError, match=r"seg\.nii.* already exists and is a file"):
        library.predict(run, list(two_cases[0]), target)
    assert target.read_bytes() == b"a colleague's work"


def test_one_file_for_several_cases_is_refused(run, images, tmp_path):
    with pytest.raises(
        RunError, match=r"seg\.nii\.gz is a single file, but there are 2 images\.\n.*a folder as --output"
    ):
        library.predict(run, images, tmp_path / "seg.nii.gz")
    assert not (tmp_path / "seg.nii.gz").exists()


def test_other_weights_are_refused_and_nothing_is_touched(run, images, two_cases, tmp_path):
    library.predict(run, list(two_cases[0]), tmp_path / "out")
    before = contents(tmp_path / "out")
    other = drawn_run(tmp_path / "other", SMALL, "backbone.channels=[4,4]")
    for path, checkpoint in ((run, "last"), (other, "best")):
        for new in (images, list(two_cases[1])):  # a folder of mixed models is as wrong as a file
            with pytest.raises(RunError, match=r"predictions by other weights \(best of") as caught:
                library.predict(path, new, tmp_path / "out", checkpoint=checkpoint)
            assert str(tmp_path / "out") in str(caught.value)
            assert "Choose another --output" in str(caught.value)
            assert contents(tmp_path / "out") == before
    assert library.predict(run, images, tmp_path / "elsewhere", checkpoint="last")
    assert contents(tmp_path / "elsewhere")["Phantom_000.nii.gz"] != before["Phantom_000.nii.gz"]


def test_a_folder_whose_predictions_are_gone_is_free(run, images, tmp_path):
    for path in library.predict(run, images, tmp_path / "out"):
        path.unlink()
    assert len(library.predict(run, images, tmp_path / "out", checkpoint="last")) == 2
    with pytest.raises(RunError, match="last of"):
        library.predict(run, images, tmp_path / "out")


def test_other_images_of_the_same_ids_are_refused_by_name(run, images, two_cases, tmp_path):
    library.predict(run, list(two_cases[0]), tmp_path / "out")
    changed = images / "Phantom_000_t2.nii.gz"
    image = nib.load(changed)
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj) + 1, image.affine), changed)
    before = contents(tmp_path / "out")
    with pytest.raises(RunError) as caught:
        library.predict(run, images, tmp_path / "out")
    assert f"{tmp_path / 'out' / 'Phantom_000.nii.gz'}: it was made from other images" in str(caught.value)
    assert "Phantom_001" not in str(caught.value)
    assert contents(tmp_path / "out") == before


def test_files_of_unknown_origin_are_refused_all_at_once(run, images, two_cases, tmp_path):
    library.predict(run, list(two_cases[0]), tmp_path / "out")
    (tmp_path / "out" / "Phantom_001.nii.gz").write_bytes(b"a colleague's work")
    changed = images / "Phantom_000_t1.nii.gz"
    shutil.copy(images / "Phantom_001_t1.nii.gz", changed)
    done = semiseg("predict", run, "-i", images, "-o", tmp_path / "out", check=False)
    assert done.returncode == 4
    assert "Traceback" not in done.stderr
    for text in (
        "2 problems",
        "already exist (Phantom_001.nii.gz)",
        "Phantom_000.nii.gz: it was made from other images",
    ):
        assert text in done.stderr
    (tmp_path / "out" / "predictions.json").unlink()
    with pytest.raises(RunError, match="2 of the files to be written already exist"):
        library.predict(run, images, tmp_path / "out")
    assert (tmp_path / "out" / "Phantom_001.nii.gz").read_bytes() == b"a colleague's work"


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"files": {}}', '{"files": [], "weights": "", "run": "", "checkpoint": ""}']
)
def test_another_predictions_json_is_left_alone(run, images, tmp_path, text):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "predictions.json").write_text(text)
    with pytest.raises(RunError, match=r"predictions\.json: it is damaged, or not a record"):
        library.predict(run, images, tmp_path / "out")
    assert contents(tmp_path / "out") == {"predictions.json": text.encode()}


def test_an_output_in_use_or_that_is_a_file_is_refused(run, images, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunError, match="is a file"):
        library.predict(run, images, tmp_path / "file")
    with locked(images), pytest.raises(RunError, match="is in use by process"):
        library.predict(run, images, images)


@pytest.mark.slow
def test_a_killed_call_goes_on_and_other_weights_do_not_go_on_for_it(tmp_path, two_cases):
    """Each time the process is killed when one more file is there; none of them is made twice."""
    slow = drawn_run(tmp_path / "run", SMALL, "inference.overlap=0.85")
    new, out = tmp_path / "new", tmp_path / "out"
    for number in range(5):
        for path in two_cases[0]:
            target = new / path.name.replace("Phantom_000", f"C_{number}")
            target.parent.mkdir(exist_ok=True)
            shutil.copy(path, target)
    seen = {}
    for count in (1, 3):
        process = Command("predict", slow, "-i", new, "-o", out, "-q")
        while process.poll() is None and len(list(out.glob("C_*"))) < count:
            time.sleep(0.002)
        process.kill()
        process.communicate()
        for path in out.glob("C_*"):
            assert seen.setdefault(path.name, path.stat().st_mtime_ns) == path.stat().st_mtime_ns
    assert set(seen) <= set(json.loads((out / "predictions.json").read_text())["files"])
    with pytest.raises(RunError, match="by other weights"):
        library.predict(slow, new, out, checkpoint="last")
    whole = library.predict(slow, new, out)
    assert len(whole) == 5
    assert len({path.read_bytes() for path in whole}) == 1
    assert all((out / name).stat().st_mtime_ns == then for name, then in seen.items())
    assert not [path.name for path in out.iterdir() if path.name.startswith((".tmp", "lock"))]


def test_broken_images_are_told_together_after_the_others_were_predicted(run, images, tmp_path):
    for name in ("Phantom_008", "Phantom_009"):
        for path in sorted(images.glob("Phantom_000_*.nii.gz")):
            shutil.copy(path, images / path.name.replace("Phantom_000", name))
    (images / "Phantom_008_t1.nii.gz").write_bytes((images / "Phantom_008_t1.nii.gz").read_bytes()[:200])
    (images / "Phantom_009_t1.nii.gz").write_bytes(b"")
    with pytest.raises(DataError) as caught:
        library.predict(run, images, tmp_path / "out")
    assert "Phantom_008_t1.nii.gz" in str(caught.value)
    assert "Phantom_009_t1.nii.gz" in str(caught.value)
    assert {"Phantom_000.nii.gz", "Phantom_001.nii.gz"} < contents(tmp_path / "out").keys()


def test_images_are_never_taken_for_predictions(run, tmp_path):
    case = make_plan(library.load_recipe(SMALL)).cases[0]
    home = copied_to(tmp_path / "new", [case])
    shutil.copy(case.images[0], home / f"{case.id}.nii.gz")
    before = contents(home)
    with pytest.raises(RunError, match="already exist"):
        library.predict(run, [home / path.name for path in case.images], home)
    assert contents(home) == before


@pytest.mark.parametrize(("name", "said"), [("model.json", "cannot be read"), ("checkpoints/best.pt", "--resume")])
def test_what_a_run_folder_lacks_is_told(run, images, tmp_path, name, said):
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    if name == "model.json":
        (copy / name).write_text("{")
    else:
        (copy / name).unlink()
    with pytest.raises(RunError, match=said) as caught:
        library.predict(copy, images, tmp_path / "out")
    assert str(copy / name) in str(caught.value)
