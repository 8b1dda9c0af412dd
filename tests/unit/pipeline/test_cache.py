"""What ``semiseg cache`` tells and removes, and what it leaves alone."""

import io
import json
import os
import sys
import time

import pytest

from semiseg.cli.main import main
from semiseg.data.case_files import RECORD
from semiseg.pipeline.cache import look, old, remove
from semiseg.pipeline.plan import make_plan
from semiseg.pipeline.train import fill_store
from semiseg.progress import Reporter
from semiseg.recipe.load import load_recipe

RECIPE = {
    "name": "tiny",
    "dataset": {"name": "phantom", "cases": 4, "size": [32, 32, 32]},
    "split": {"test": 1, "validation": 1, "labeled": 1},
    "backbone": {"name": "unet", "channels": [4, 8], "strides": [2], "num_res_units": 0},
    "strategy": {"name": "supervised"},
    "training": {"patch_size": [16, 16, 16], "device": "cpu"},
}
DAY = 24 * 3600


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SEMISEG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def fill(*overrides):
    return fill_store(make_plan(load_recipe(RECIPE, overrides)), Reporter())


def notes(cache):
    return sorted((cache / "store" / "uses").glob("*.json"))


def held_by(cache, holder):
    """Let another process have left the notes."""
    for path in notes(cache):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"holder": holder}))


@pytest.fixture
def filled(cache):
    """A store that an ended process used: three images, and the labels of two of them."""
    fill()
    held_by(cache, {})
    return cache


@pytest.fixture
def said(monkeypatch, capsys):
    """The command line: exit code, and what was said."""

    def run(*arguments, answer=None):
        monkeypatch.setattr(sys, "argv", ["semiseg", "cache", *map(str, arguments)])
        stdin = io.StringIO(answer or "")
        stdin.isatty = lambda: answer is not None
        monkeypatch.setattr(sys, "stdin", stdin)
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code or 0, "".join(capsys.readouterr())

    return run


def by_kind(kept):
    return {kind: [part for part in kept if part.kind == kind] for kind in ("case", "data", "notes", "leftover")}


def age(parts, days):
    for part in parts:
        os.utime(part.path / RECORD, (time.time() - days * DAY,) * 2)


def test_entries_are_told_with_dataset_recipe_size_and_holder(cache):
    began = time.time()
    fill()
    found = by_kind(look())
    assert len(found["case"]) == 3 + 2
    assert {part.datasets + part.recipes for part in found["case"]} == {("phantom", "tiny")}
    assert all(part.used >= began - 1 for part in found["case"])
    sizes = [sum(file.stat().st_size for file in part.path.iterdir()) for part in found["case"]]
    assert [part.size for part in found["case"]] == sizes
    (heads,) = found["data"]
    assert (heads.path.parent, heads.recipes) == (cache / "phantom", ("tiny",))
    assert {f"process {os.getpid()} on" in part.holder for part in (*found["case"], heads)} == {True}


def test_an_entry_is_used_again_when_a_run_finds_it(filled):
    age(by_kind(look())["case"], 50)
    assert len(old(look(), 40)) == 5
    fill()
    assert not old(look(), 40)
    assert len(notes(filled)) == 1  # the new note says all that the ended process's said


def test_entries_of_two_recipes_are_both_s(filled):
    fill("name=other", "split={test: 1, validation: 1, labeled: 2}")
    held_by(filled, {})
    assert sorted({part.recipes for part in by_kind(look())["case"]}) == [("other",), ("other", "tiny")]


def test_what_a_running_process_uses_stays_and_the_process_is_named(cache, said):
    fill()
    code, text = said("prune", "--all", "--yes")
    assert code == 0
    assert f", in use by process {os.getpid()} on " in text
    assert "if that process is gone, delete" in text
    assert len(by_kind(look())["case"]) == 5
    assert len(by_kind(look())["data"]) == 1


def test_another_machine_s_process_is_taken_to_run(filled):
    held_by(filled, {"host": "node17", "pid": 3, "started": "1"})
    assert {part.holder.partition(",")[0] for part in by_kind(look())["case"]} == {"process 3 on node17"}
    assert [part.kind for part in remove(look())] == ["notes"] * 2


def test_while_a_process_still_looks_for_entries_those_that_it_has_found_stay(filled):
    age(by_kind(look())["case"], 50)
    touched = by_kind(look())["case"][0]
    os.utime(touched.path / RECORD)
    value = json.loads(notes(filled)[0].read_text())
    living = {"host": "node17", "pid": 3, "started": "1"}
    fresh = value | {"recipe": "second", "since": time.time(), "entries": [], "holder": living, "reads": ""}
    (filled / "store" / "uses" / "x.json").write_text(json.dumps(fresh))
    assert [part.path for part in by_kind(look())["case"] if part.holder] == [touched.path]


def test_what_was_used_since_it_was_looked_at_stays(filled):
    kept = by_kind(look())["case"]
    os.utime(kept[0].path / RECORD, (time.time() + 1,) * 2)
    assert remove(kept) == kept[1:]
    assert [part.path for part in by_kind(look())["case"]] == [kept[0].path]


def test_pruning_by_age_says_what_goes_and_takes_it_after_yes(filled, said):
    aged = by_kind(look())["case"][:2]
    age(aged, 31)
    code, text = said("prune", "--older-than", 30, answer="n\n")
    assert code == 0
    assert "To remove: 2 entries, " in text
    assert "Nothing was removed." in text
    assert len(by_kind(look())["case"]) == 5

    code, text = said("prune", "--older-than", 30, answer="y\n")
    assert (code, "Removed: 2 entries, " in text) == (0, True)
    assert not any(part.path.exists() for part in aged)
    assert len(by_kind(look())["case"]) == 3
    assert said("prune", "--older-than", 30)[1].endswith("Nothing to remove.\n")


def test_all_goes_and_is_made_again(filled, said):
    code, text = said("prune", "--all", "--yes")
    assert (code, "Removed: 8 entries, " in text) == (0, True)  # 5 entries, the heads, and two folders of notes
    assert "Empty." in said()[1]
    assert fill().n_made == 4


def test_leftovers_of_a_kill_are_told_after_a_day(filled):
    young, aged = (filled / "store" / "entries" / "ab" / f".tmp-{name}" for name in ("young", "aged"))
    for folder in (young, aged):
        folder.mkdir(parents=True)
    os.utime(aged, (time.time() - 2 * DAY,) * 2)
    assert [part.path for part in by_kind(look())["leftover"]] == [aged]


def test_the_list_is_one_line_a_dataset(filled, said):
    code, text = said()
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert (code, lines[0]) == (0, f"Cache: {filled} (set by SEMISEG_CACHE)")
    assert lines[1] == "kind dataset entries size last used recipes"
    assert [line.split()[:3] for line in lines[2:4]] == [
        ["preprocessed", "phantom", "5"],
        ["generated", "data", "phantom"],
    ]
    assert lines[2].endswith(" tiny")
    assert lines[-1].startswith("Total: 8 entries, ")


def test_a_store_of_its_own_is_looked_at_by_itself(filled, said, tmp_path):
    own = tmp_path / "own"
    fill(f"preprocessing.store={own}")
    assert by_kind(look(own))["data"] == []
    assert len(by_kind(look(own))["case"]) == 5
    assert said("--store", own)[1].startswith(f"Case store: {own}\n")
    (heads,) = by_kind(look())["data"]
    assert heads.holder  # the process reads test cases at its end


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["prune"], "Give either --older-than DAYS or --all."),
        (["prune", "--all", "--older-than", "3"], "Give either --older-than DAYS or --all."),
        (["prune", "--all"], "confirmation requires a terminal.\n    To remove without asking, add --yes."),
    ],
)
def test_nothing_is_removed_unasked(filled, said, arguments, told):
    code, text = said(*arguments)
    assert code == 2
    assert told in text
    assert len(by_kind(look())["case"]) == 5
