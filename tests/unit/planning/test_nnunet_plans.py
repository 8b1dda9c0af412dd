"""The planner beside nnU-Net's own, for anisotropic grids and others: nnU-Net 2.8.1's plans are kept as numbers.

Both decide with nnU-Net's estimate of memory, so that nothing else differs. Differences that are decided
(docs/adr/0014-values-from-the-data.md) are written out here.
"""

import pytest
from helpers_nnunet_plans import DATASETS, DIMENSIONS, planned

DECIDED = {
    # A twentieth of the voxels of all cases: nnU-Net counts slices as if they were resampled, which in 2D they are not.
    ("acdc", "2d"): {"batch": 8},
    ("sagittal", "2d"): {"batch": 5},
    # nnU-Net rounds 7.5 samples up, beyond its limit of memory.
    ("atrium", "2d"): {"batch": 7},
    # A side of a patch is 8 voxels at least.
    ("very_few", "3d_fullres"): {
        "patch": [320, 320, 8],
        "strides": [[1, 1, 1], [2, 2, 1], [2, 2, 1], [2, 2, 1], [2, 2, 2], [2, 2, 1], [2, 2, 1]],
    },
}


@pytest.mark.parametrize("configuration", DIMENSIONS)
@pytest.mark.parametrize("name", DATASETS)
def test_the_plan_is_nnunets(name, configuration, monkeypatch, tmp_path):
    theirs = DATASETS[name]["plans"][configuration]
    decided = DECIDED.get((name, configuration), {})
    assert all(theirs[key] != value for key, value in decided.items())
    assert planned(name, configuration, monkeypatch, tmp_path) == {**theirs, **decided}
