"""An image that cannot be predicted is told with its file or its case."""

import helpers_volumes as made
import numpy as np
import pytest

from semiseg.datasets.folder import Folder
from semiseg.errors import DataError
from semiseg.inference.image import Ensemble, Limit, Member
from semiseg.pipeline.predictions import predict_case
from semiseg.recipe.load import load_recipe
from semiseg.recipe.schema import Preprocessing


def alone(recipe):
    """A model that no image reaches."""
    return Ensemble([Member(None, recipe.preprocessing)], 2, Limit(0))


@pytest.mark.parametrize(
    ("values", "options", "what"),
    [
        ((0,), {"foreground": "nonzero"}, "the image is empty: every voxel is 0"),
        ((0,), {"foreground": "nonzero", "crop": False}, "the image is empty: every voxel is 0"),
        ((1, 1e300), {"foreground": "all"}, "the image has values too large for float32"),
    ],
)
def test_what_preparing_refuses_names_the_case(tmp_path, values, options, what):
    made.save(tmp_path / "new" / "one.nii.gz", made.label(values, dtype=np.float64))
    dataset = Folder(Folder.Options(root=tmp_path, classes={"a": 1}))
    recipe = load_recipe("quickstart").model_copy(update={"preprocessing": Preprocessing(**options)})
    (case,) = dataset.new_cases([tmp_path / "new"])
    with pytest.raises(DataError) as caught:
        predict_case(case, dataset, alone(recipe), dataset.info(), tmp_path / "out.nii.gz")
    (problem,) = caught.value.problems
    assert (problem.where, problem.what) == ("case one", what)


def test_what_a_dataset_refuses_without_a_name_gets_the_case_s(tmp_path):
    class Nameless(Folder):
        def read_image(self, case):
            raise DataError("it cannot be read", "Mend it.")

    made.save(tmp_path / "new" / "one.nii.gz", made.image())
    dataset = Nameless(Folder.Options(root=tmp_path, classes={"a": 1}))
    (case,) = dataset.new_cases([tmp_path / "new"])
    with pytest.raises(DataError, match=r"^case one: it cannot be read\n    Mend it\.$"):
        predict_case(case, dataset, alone(load_recipe("quickstart")), dataset.info(), tmp_path / "out.nii.gz")
