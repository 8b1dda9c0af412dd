"""What the page of a run says beyond its scores."""

from semiseg.render.run_page import environment_of, run_page
from semiseg.scoring.score_case import Score
from semiseg.scoring.summary import summarize

SUMMARY = {
    "name": "small",
    "cases": {"labeled": 2, "unlabeled": 4, "validation": 1, "test": 1},
    "scores": {"policy": "image_diagonal", "checkpoints": {}},
    "evaluation_hash": "e",
    "cases_hash": "c",
    "recipe_hash": "r",
    "seed": 1,
    "weights": {},
}
NETWORKS = {"student_a": {"core": 0.25, "edema": None}, "student_b": {"core": 0.75, "edema": 0.5}}


def page(log):
    return run_page(SUMMARY, (), log, (), ("background", "core", "edema"), {}, {"python": "3.12"})


def record(epoch, **validation):
    return {"epoch": epoch, "step": epoch, "train": {"supervised": 1.0}, "validation": {"loss": 0.5, **validation}}


def test_networks_that_predict_together_are_shown_one_by_one():
    made = page([record(1, mean_dice=0.5, networks=NETWORKS)])
    (table,) = next(section for section in made.sections if section.title == "Training").tables
    assert table.columns == ("network", "core", "edema")
    assert [[cell.text for cell in row] for row in table.rows] == [
        ["student_a", "0.250", "–"],
        ["student_b", "0.750", "0.500"],
    ]
    assert made.summary == (
        "On the validation cases, student_a alone reaches a Dice of only 0.25 for core; the best network reaches 0.75.",
    )


def test_one_network_needs_no_table():
    made = page([record(1, mean_dice=0.5)])
    assert all(not section.tables for section in made.sections)
    assert made.summary == ()


def test_a_run_that_went_on_elsewhere_says_so():
    texts = environment_of({"torch_threads": 2, "resumed": ["torch threads 2, now 1", "torch 2.12.0, now 2.13.0"]})
    assert texts["resumed with"] == "torch threads 2, now 1; then torch 2.12.0, now 2.13.0"


def test_the_same_weights_have_one_table_and_one_row_a_score_and_the_reason():
    rows = [Score("r", name, "a", "core", "dice", 0.5, "1", "ok", 1, 1, 1.0) for name in ("last", "best")]
    summary = {**SUMMARY, "scores": summarize(rows)}
    for same, titles in ((True, ["last = best"]), (False, ["last", "best"])):
        made = run_page({**summary, "best_is_last": same}, rows, (), (), ("background", "core"), {}, {})
        section = next(section for section in made.sections if section.title == "Scores")
        assert [table.title for table in section.tables] == [f"{title} weights" for title in titles]
        assert [score.checkpoint for score in made.scores] == titles
        assert [text.split(":")[0] for text in made.summary] == [f"dice, {title} weights" for title in titles]
        said = "The best validation was the last one: last and best are the same weights, predicted and scored once."
        assert section.text == ((said,) if same else ())


def test_without_validation_cases_the_reason_is_another():
    cases = {**SUMMARY["cases"], "validation": 0}
    made = run_page({**SUMMARY, "cases": cases, "best_is_last": True}, (), (), (), ("background",), {}, {})
    (said,) = next(section for section in made.sections if section.title == "Scores").text
    assert said.startswith(
        "There are no validation cases to choose the best weights: last and best are the same weights"
    )
