import pytest

from semiseg import errors
from semiseg.errors import DataError, Interrupted, Problem, RecipeError, SemisegError, raise_all


def test_a_problem_says_where_what_and_how_to_mend_it():
    assert str(Problem("a.nii.gz", "is truncated", "Download it again.")) == (
        "a.nii.gz: is truncated\n    Download it again."
    )
    assert str(Problem("", "is truncated")) == "is truncated"


def test_one_problem_stands_alone_and_several_are_numbered():
    one, two = Problem("a", "is empty", "Fill it."), Problem("b", "is missing")

    assert str(DataError(one)) == "a: is empty\n    Fill it."
    assert str(DataError([one, two])) == "2 problems:\n1. a: is empty\n    Fill it.\n2. b: is missing"
    assert DataError([one, two]).problems == (one, two)


def test_a_plain_text_is_one_problem():
    error = RecipeError("It is wrong.", "Mend it.")

    assert error.problems == (Problem("", "It is wrong.", "Mend it."),)


def test_nothing_is_raised_for_no_problem_and_everything_at_once_otherwise():
    raise_all([], DataError)
    with pytest.raises(DataError) as raised:
        raise_all([Problem("a", "x"), Problem("b", "y")], DataError)

    assert len(raised.value.problems) == 2


def test_exit_codes_are_those_of_the_documentation():
    codes = {
        cls.__name__: cls.exit_code
        for cls in vars(errors).values()
        if isinstance(cls, type) and issubclass(cls, SemisegError)
    }

    assert codes == {
        "SemisegError": 1,
        "RecipeError": 2,
        "ComponentError": 2,
        "DataError": 3,
        "SomeCasesError": 3,
        "ArgumentError": 2,
        "ProtocolError": 3,
        "RunError": 4,
        "StorageError": 4,
        "TrainingError": 5,
        "Interrupted": 130,
    }


def test_an_interruption_keeps_its_signal():
    assert Interrupted("Stopped.", "Go on with --resume.", signum=15).signum == 15


def test_problems_that_differ_in_names_and_numbers_alone_are_grouped_where_they_are_many():
    fix = "Resample labels with nearest-neighbor interpolation, or round them."
    alike = [Problem(f"labels/c{n}.nii.gz", f"{100 + n} voxels are not whole numbers (0.5)", fix) for n in range(300)]
    other = Problem("case x", "it has no label")
    error = DataError([*alike[:150], other, *alike[150:]])
    lines = str(error).splitlines()

    assert len(error.problems) == 301
    assert lines[0] == "301 problems:"
    assert lines[1:3] == ["1. labels/c0.nii.gz: 100 voxels are not whole numbers (0.5)", f"    {fix}"]
    assert lines[5] == "3. labels/c2.nii.gz: 102 voxels are not whole numbers (0.5)"
    assert lines[7].startswith("   … and 297 more like these: labels/c3.nii.gz, labels/c4.nii.gz, ")
    assert lines[7].endswith("labels/c22.nii.gz, …")
    assert lines[8:] == ["301. case x: it has no label"]


def test_a_few_problems_of_one_kind_are_all_written_out():
    lines = str(DataError([Problem(f"case {n}", "it has no label") for n in range(10)])).splitlines()
    assert lines[1:] == [f"{n + 1}. case {n}: it has no label" for n in range(10)]


def test_problems_that_say_different_things_are_not_grouped():
    said = ["it is empty", "it is a folder", "it is locked"]
    lines = str(DataError([Problem(f"case {n}", said[n % 3]) for n in range(12)])).splitlines()
    assert sum(line.endswith(said[0]) for line in lines) == 4
    assert len(lines) == 13
