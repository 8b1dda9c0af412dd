import numpy as np
import pytest
from made_dataset import MadeDataset

from semiseg.data.verify import verify_cases


@pytest.fixture
def dataset(tmp_path):
    return MadeDataset(tmp_path / "data", 4, unlabeled=1)


def test_good_cases_have_no_problems_and_every_file_is_read(dataset):
    done = []
    assert verify_cases(dataset, dataset.cases(), progress=lambda: done.append(1)) == []
    assert len(done) == 4
    assert len(dataset.read) == 4 + 3


def test_problems_come_in_the_order_of_the_cases_image_and_label_both(dataset):
    cases = dataset.cases()
    cases[0].images[0].write_bytes(b"nothing")
    np.save(cases[0].label, np.full((2, 2, 2), 9, np.uint8))
    np.save(cases[2].label, np.zeros((2, 2, 2), np.uint8))
    problems = verify_cases(dataset, cases, workers=3)
    assert [problem.where for problem in problems] == [
        str(path) for path in (cases[0].images[0], cases[0].label, cases[2].label)
    ]
    assert "class 9" in problems[1].what
    assert "different grids" in problems[2].what
    assert "Resample the label" in problems[2].fix


def test_quick_reads_headers_and_finds_missing_files(dataset):
    cases = dataset.cases()
    cases[1].label.unlink()
    cases[1].images[1].unlink()
    problems = verify_cases(dataset, cases, quick=True)
    assert [problem.what for problem in problems] == ["the file is missing"] * 2
    assert {what for _, what in dataset.read} == {"geometry"}


def test_an_image_of_another_number_of_channels(dataset):
    case = dataset.cases()[3]
    dataset._cases = [type(case)(case.id, case.images[:1])]
    (problem,) = verify_cases(dataset, dataset.cases())
    assert problem.where == "case d"
    assert "1 channels, not one for each of one, two" in problem.what
