"""``evaluate`` on folders of PNG masks."""

import helpers_pictures as made
import numpy as np
import pytest

from semiseg.errors import DataError
from semiseg.scoring.evaluate import evaluate


@pytest.fixture
def folders(tmp_path):
    for number in range(2):
        mask = made.disk(number)[1]
        made.save(tmp_path / "truth" / f"p_{number}.png", mask)
        made.save(tmp_path / "predicted" / f"p_{number}_seg.png", np.roll(mask, 1, axis=number))
    return tmp_path / "predicted", tmp_path / "truth"


def test_distances_are_in_pixels(folders):
    evaluation = evaluate(*folders, labels={255: "disk"}, metrics=["hd", "dice"])
    distances = [score for score in evaluation.scores if score.metric == "hd"]
    assert [(score.case, score.value, score.unit) for score in distances] == [("p_0", 1, "pixel"), ("p_1", 1, "pixel")]
    assert evaluation.summary["checkpoints"][""]["hd"]["unit"] == "pixel"


def test_nifti_files_are_taken_where_pictures_lie_beside_them(tmp_path, folders):
    import nibabel

    mask = made.disk(0)[1].T[..., None]
    for folder in folders:
        nibabel.save(nibabel.Nifti1Image(mask, np.diag([1.0, 1, 3, 1])), folder / "v.nii.gz")
    (score,) = evaluate(*folders, metrics=["hd95"]).scores
    assert (score.case, score.unit) == ("v", "mm")


def test_all_problems_of_pictures_at_once(folders):
    predicted, truth = folders
    made.save(predicted / "p_0_seg.png", made.disk(0)[0])
    made.save(truth / "p_1.png", made.disk(1, (32, 40))[1])
    with pytest.raises(DataError) as caught:
        evaluate(*folders, labels={255: "disk"})
    assert "p_0_seg.png: it is an RGB picture" in str(caught.value)
    assert "are on different grids: shape (32, 40, 1) vs. (40, 32, 1)" in str(caught.value)
