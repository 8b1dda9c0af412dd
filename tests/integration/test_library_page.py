"""The code of docs/how-to/use-as-library.md, run in the page's order."""

import re
import shutil
from pathlib import Path

import nibabel as nib
import pytest
from drawn_run import drawn_run
from small_run import SMALL

import semiseg
from semiseg.pipeline.plan import make_plan

PAGE = Path(__file__).parents[2] / "docs/how-to/use-as-library.md"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with runs/first, of one modality, new images with labels, and predictions."""
    home = tmp_path_factory.mktemp("lab")
    (case,) = make_plan(semiseg.load_recipe(SMALL)).cases[:1]
    for name, source in (("data/labeled/images/scan_01", case.images[0]), ("data/labeled/labels/scan_01", case.label)):
        target = home / f"{name}.nii.gz"
        target.parent.mkdir(parents=True)
        shutil.copy(source, target)
    shutil.copytree(home / "data/labeled/images", home / "new")
    shutil.copytree(home / "data/labeled/labels", home / "new_labels")
    dataset = {"name": "folder", "root": str(home / "data"), "classes": {"necrosis": 1, "edema": 2, "enhancing": 4}}
    drawn_run(home / "runs/first", {**SMALL, "dataset": dataset, "split": {"labeled": 1, "draw": 0}})
    semiseg.predict(home / "runs/first", home / "new", home / "predictions", quality=False)
    return home


def test_the_page_s_code_runs_in_order(home, monkeypatch, capsys):
    monkeypatch.chdir(home)
    names = {}
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    assert len(blocks) >= 5
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    said = capsys.readouterr().out
    assert "{1: 'necrosis', 2: 'edema', 4: 'enhancing'}" in said
    assert "True" in said  # a file and its array have the same label map
    assert {*names["scores"].to_dataframe()["metric"]} == {"dice", "hd95", "nsd tolerance=2.0"}
    assert str(nib.load(home / "new/scan_01.nii.gz").shape) in said
    assert names["probabilities"].shape == (2, 3, 16, 16, 16)
    assert names["index"] == 3
