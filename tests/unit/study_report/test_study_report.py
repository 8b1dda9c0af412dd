"""A whole report of a study folder that was made by hand, with a control at one labeled count of two."""

import json

import pytest
from helpers_scores import score
from helpers_study import flat

from semiseg.errors import DataError, RecipeError
from semiseg.scoring.table import read_scores, write_scores
from semiseg.study.folder import StudyFolder
from semiseg.study_report import collect
from semiseg.study_report.report import report_study

HASHES = {"evaluation_hash": "e" * 64, "cases_hash": "c" * 64, "recipe_hash": "r" * 64}
MODELS = {  # name: method, labeled, total, Dice of the last weights
    "supervised_4_s1": ("supervised", 4, 4, 0.5),
    "supervised_8_s1": ("supervised", 8, 8, 0.6),
    "cps_4of4_s1": ("cps", 4, 4, 0.7),
    "cps_4ofall_s1": ("cps", 4, 32, 0.72),
    "cps_8ofall_s1": ("cps", 8, 32, 0.75),
}


def rows(value, checkpoint):
    return [
        score(str(case), one, class_name=name, checkpoint=checkpoint)
        for name, column in flat(value).items()
        for case, one in enumerate(column)
    ]


@pytest.fixture
def folder(tmp_path):
    """A finished study: Dice as in MODELS, 0.1 less with the best weights."""
    return made(tmp_path)


def made(tmp_path, share=1.0):
    """The same, with this share of every Dice."""
    records = []
    for name, (method, labeled, total, value) in MODELS.items():
        run = tmp_path / "study/models" / name
        run.mkdir(parents=True)
        write_scores(run / "scores.csv", [*rows(share * value, "last"), *rows(share * (value - 0.1), "best")])
        (run / "recipe.yaml").write_text(f"name: {name}\nseed: 1\n")
        cases = {"labeled": labeled, "unlabeled": total - labeled, "validation": 2, "test": 8}
        told = {**HASHES, "cases": cases, "scores": {"policy": "image_diagonal"}}
        (run / "summary.json").write_text(json.dumps(told))
        place = {"name": name, "run": name, "setting": "", "method": method, "labeled": labeled, "total": total}
        records.append({**place, "seed": 1, **HASHES})
    about = {"name": "made", "baseline": "supervised", "checkpoint": "last", "published": "", "seeds": [1]}
    manifest = {**about, "training_cases": 32, "evaluation_hash": HASHES["evaluation_hash"], "models": records}
    (tmp_path / "study/study.json").write_text(json.dumps(manifest))
    return StudyFolder(tmp_path / "study")


def test_the_method_stands_beside_its_control_on_the_page_and_in_files(folder):
    result = report_study(folder.path)
    told = (
        "Did the unlabeled cases help? cps compared with its control, the same without unlabeled cases, by Dice: with "
        "4 labels better (+0.020, 95 % interval +0.020 to +0.020); with 8 labels there is no control."
    )
    assert result.summary[2] == told
    page = result.page.read_text()
    for text in (
        told,
        "Methods compared with their controls",
        "Dice of methods compared with their controls, which have no unlabeled cases",
        "no control</td>",
    ):
        assert text in page
    tables = folder.report / "tables"
    assert "| cps | 8 | 24 | – | 0.750 | – | – | – | no control |" in (tables / "control_dice.md").read_text()
    for ending in ("txt", "csv", "tex"):
        assert "no control" in (tables / f"control_dice.{ending}").read_text()
    (control,) = json.loads((folder.report / "summary.json").read_text())["controls"]
    assert control["no_control"] == [8]
    assert control["differences"][0]["difference"] == pytest.approx(0.02)


def test_models_that_have_not_learned_get_no_verdict_anywhere(tmp_path):
    result = report_study(made(tmp_path, share=0.1).path)
    told = (
        "No model here has learned to segment: the best baseline, supervised with 8 labels, has a Dice of 0.06 "
        "(up to 0.1 may be chance). No conclusions are drawn. Train longer."
    )
    assert result.summary[1:] == (told,)
    assert told in result.page.read_text()
    report = result.page.parent
    data = json.loads((report / "summary.json").read_text())
    assert data["sentences"][1] == told
    assert data["answers"][0]["label_savings"] == data["answers"][0]["power"] == data["next_labels"] == []
    verdicts = [one["verdict"] for kind in ("answers", "controls") for one in data[kind][0]["differences"]]
    assert verdicts == ["not judged"] * 3
    assert not (report / "figures/savings.svg").exists()
    tables = (report / "tables/compared_dice.csv", report / "tables/control_dice.csv")
    assert [path.read_text().count("not judged") for path in tables] == [2, 1]
    assert not (report / "tables/label_savings.csv").exists()


def test_the_other_weights_have_their_tables_of_arms(folder):
    report_study(folder.path)
    texts = [(folder.report / f"tables/arms_dice{which}.csv").read_text() for which in ("", "_best")]
    assert ["0.72" in text for text in texts] == [True, False]
    assert ["0.62" in text for text in texts] == [False, True]  # cps with 4 of all: 0.1 less
    assert not (folder.report / "tables/control_dice_best.csv").exists()


def test_every_table_of_scores_is_read_once(folder, monkeypatch):
    read = []
    monkeypatch.setattr(collect, "read_scores", lambda path: read.append(path.parent.name) or read_scores(path))
    monkeypatch.setattr("semiseg.comparison.read.read_scores", lambda path: pytest.fail(f"{path} once more"))
    report_study(folder.path)
    assert sorted(read) == sorted(MODELS)
    written = read_scores(folder.report / "scores.csv")
    assert {(one.run, one.checkpoint) for one in written} == {(name, w) for name in MODELS for w in ("last", "best")}


def test_a_table_that_cannot_be_read_costs_nobody_the_report(folder):
    (folder.models / "cps_4of4_s1/scores.csv").write_text("run,checkpoint,ca")
    result = report_study(folder.path)
    assert "1 model without scores yet: cps_4of4_s1 (not a table of scores" in result.summary[1]
    assert any(line.startswith("No control: ") for line in result.summary)
    assert "cps_4of4_s1" not in {one.run for one in read_scores(folder.report / "scores.csv")}


def test_scores_of_other_cases_are_refused(folder):
    path = folder.models / "cps_4of4_s1/summary.json"
    path.write_text(path.read_text().replace("c" * 64, "d" * 64))
    with pytest.raises(DataError, match="cps_4of4_s1: has the cases_hash d"):
        report_study(folder.path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}", "no scores.policy"),
        ("[]", "is not what semiseg wrote: no JSON object"),
        ('{"cases": 3}', "is not what semiseg wrote: cases is of another type"),
        ('{"scores": []}', "no scores.policy"),
    ],
)
def test_a_run_whose_summary_does_not_fit_is_missing_and_says_why(folder, text, said):
    folder.run("cps_4of4_s1").summary.write_text(text)
    results = collect.collect(folder, "last")
    (missing,) = results.missing
    assert missing.startswith("cps_4of4_s1 (")
    assert said in missing
    assert report_study(folder.path).page.exists()


def test_published_values_are_those_that_the_folder_keeps(folder):
    (folder.path / "published").mkdir()
    (folder.path / "published/odd2020.yaml").write_text(
        "source: {title: Odd, authors: [A. Author, B. Writer], year: 2020, cited: Author 2020}\n"
        "dataset: {name: Odd, plugin: odd}\n"
        "classes: {necrosis: Necrosis, edema: Edema, enhancing: Core}\n"
        "methods: [supervised, cps]\n"
        "tables:\n"
        '  dice: {source: table 1, unit: "1", digits: 2, total: 32, values: {unet: {4: {edema: [0.41, 0.59]}}}}\n'
    )
    manifest = json.loads(folder.manifest.read_text())
    folder.manifest.write_text(json.dumps(manifest | {"published": "odd2020"}))
    for name in MODELS:
        (folder.run(name).recipe).write_text(
            f"name: {name}\nseed: 1\ndataset: {{name: odd}}\nbackbone: {{name: unet}}\n"
        )
    report_study(folder.path)
    table = (folder.report / "tables/published_dice.md").read_text()
    assert "| unet | edema | 4 | 0.41 | 0.500 | +0.090 | 0.59 | 0.720 | +0.130 |" in table
    assert "Source: A. Author and B. Writer (2020), Odd." in table

    (folder.path / "published/odd2020.yaml").unlink()
    with pytest.raises(RecipeError, match="'odd2020' is not known"):
        report_study(folder.path)
