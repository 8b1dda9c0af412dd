"""A dataset that comes with folds: the recipe says how to use them, and what it says works."""

import re

import pytest
from helpers_nnunet import write_folds, write_nnunet

from semiseg.init.propose import propose_recipe
from semiseg.pipeline.plan import make_plan
from semiseg.recipe.load import load_recipe


@pytest.fixture
def root(tmp_path):
    return write_nnunet(tmp_path / "Dataset001_Made", labeled=5)


def test_the_comment_names_options_that_train_on_the_first_fold(root, tmp_path):
    ids = [f"x_{number}" for number in range(5)]
    write_folds(root, ids[:2], ids[2:], ids=ids)
    text = propose_recipe(root, gpu=False).text
    comment = text[text.index("# The dataset has 2 folds of its own.") : text.index("\nsplit:")]
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    split = make_plan(load_recipe(path, re.findall(r"--set (\S+)", comment))).split
    assert [case.id for case in split.validation] == ids[:2]
    assert [case.id for case in split.labeled] == ids[2:]
    assert not split.test


def test_without_folds_that_can_be_used_nothing_is_said(root):
    assert "folds of its own" not in propose_recipe(root, gpu=False).text
    write_folds(root, ["x_0"], ["no_such_case"])
    assert "folds of its own" not in propose_recipe(root, gpu=False).text
