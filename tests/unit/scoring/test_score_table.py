"""scores.csv gives back what was written."""

import csv
import math
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from semiseg.errors import DataError
from semiseg.scoring.score_case import Score
from semiseg.scoring.table import COLUMNS, read_scores, write_scores

ROW = Score(
    "run",
    "best",
    "case_1",
    "edema",
    "hd95",
    1 / 3,
    "mm",
    "ok",
    12,
    34,
    373.128,
    "class",
    "HD95 1 (kind=a, b)",
    "0a1b",
)

text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=12)
rows = st.builds(
    Score,
    run=text,
    checkpoint=st.sampled_from(["", "last", "best"]),
    case=text,
    class_name=text,
    metric=st.sampled_from(["dice", "hd95"]),
    value=st.floats(),
    unit=st.sampled_from(["1", "mm", "voxel"]),
    status=st.sampled_from(["ok", "missed", "spurious", "both_empty"]),
    n_reference=st.integers(0, 10**9),
    n_prediction=st.integers(0, 10**9),
    image_diagonal=st.floats(0, 1e6),
    kind=st.sampled_from(["class", "region"]),
    definition=text,
    reference_digest=text,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(scores=st.lists(rows, max_size=5))
def test_round_trip(scores, tmp_path):
    path = tmp_path / "scores.csv"
    write_scores(path, scores)
    assert list(map(repr, read_scores(path))) == list(map(repr, scores))  # repr, since nan is not itself


def test_the_file_as_a_person_sees_it(tmp_path):
    path = tmp_path / "new" / "scores.csv"
    missed = Score("run", "best", "case_2", "edema", "hd95", math.inf, "mm", "missed", 12, 0, 373.5, "region")
    empty = Score("run", "best", "case_3", "edema", "dice", math.nan, "1", "both_empty", 0, 0, 373.5)
    write_scores(path, [ROW, missed, empty])
    assert path.read_text().splitlines() == [
        "run,checkpoint,case,class,metric,value,unit,status,n_reference,n_prediction,image_diagonal"
        ",kind,definition,reference_digest",
        'run,best,case_1,edema,hd95,0.3333333333333333,mm,ok,12,34,373.128,class,"HD95 1 (kind=a, b)",0a1b',
        "run,best,case_2,edema,hd95,inf,mm,missed,12,0,373.5,region,,",
        "run,best,case_3,edema,dice,nan,1,both_empty,0,0,373.5,class,,",
    ]
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("name", ["=1+1", "+x", "-x", "@x", "\tx", "\nx", "'=x", "''-x", "'x", "x=1"])
def test_a_name_that_looks_like_a_formula_is_text_to_a_spreadsheet(tmp_path, name):
    path = tmp_path / "scores.csv"
    row = replace(ROW, run=name, class_name=name, case=name, definition=name, value=-1.5)
    write_scores(path, [row])
    with path.open(newline="") as file:
        head, cells = list(csv.reader(file))
    stored = dict(zip(head, cells, strict=True))
    assert not stored["class"].startswith(("=", "+", "-", "@", "\t", "\n"))
    assert stored["value"] == "-1.5"
    assert read_scores(path) == [row]


def test_a_failure_while_writing_leaves_the_old_file(tmp_path):
    path = tmp_path / "scores.csv"
    write_scores(path, [ROW])

    def breaking():
        yield ROW
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        write_scores(path, breaking())
    assert read_scores(path) == [ROW]
    assert list(tmp_path.iterdir()) == [path]


def test_columns_of_later_versions_are_passed_over(tmp_path):
    path = tmp_path / "scores.csv"
    write_scores(path, [ROW])
    head, row = path.read_text().splitlines()
    path.write_text(f"fold,{head}\n3,{row}\n")
    assert read_scores(path) == [ROW]


def test_tables_one_below_the_other_are_one(tmp_path):
    path = tmp_path / "scores.csv"
    write_scores(path, [ROW])
    path.write_text(path.read_text() + path.read_text().replace("case_1", "case_2"))
    assert read_scores(path) == [ROW, replace(ROW, case="case_2")]


def test_a_table_from_elsewhere_need_not_say_what_its_values_mean(tmp_path):
    path = tmp_path / "scores.csv"
    write_scores(path, [ROW])
    path.write_text("\n".join(",".join(line.split(",")[:11]) for line in path.read_text().splitlines()))
    assert read_scores(path) == [replace(ROW, definition="", reference_digest="")]


def test_all_lines_that_are_wrong_are_told(tmp_path):
    path = tmp_path / "scores.csv"
    write_scores(path, [ROW] * 4)
    lines = path.read_text().splitlines()
    lines[1] = lines[1].replace("0.3333333333333333", "high")
    lines[2] = lines[2].replace(",ok,", ",fine,")
    lines[4] = lines[4].split(",34,373.128")[0]
    path.write_text("\n".join(lines))
    with pytest.raises(DataError) as caught:
        read_scores(path)
    told = str(caught.value)
    assert f"{path}:2: could not convert string to float: 'high'" in told
    assert f"{path}:3: unknown status 'fine'; known: ok, missed, spurious, both_empty" in told
    assert f"{path}:5: " in told
    assert f"{path}:4" not in told


def test_files_that_are_no_table(tmp_path):
    path = tmp_path / "scores.csv"
    with pytest.raises(DataError, match=r"scores.csv: cannot be read"):
        read_scores(path)
    path.write_text("case,value\nc,1\n")
    with pytest.raises(DataError, match="lacks run, checkpoint, class"):
        read_scores(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="cannot be read"):
        read_scores(path)
    path.write_text("")
    with pytest.raises(DataError, match="lacks " + ", ".join(COLUMNS[:11])):
        read_scores(path)
