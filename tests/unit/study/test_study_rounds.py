"""Blocks whose labeled cases a rule chooses: the chains of their models, and what is refused."""

import pytest

from semiseg.backbones.unet import UNet
from semiseg.errors import RecipeError
from semiseg.study.load import load_study

BASE = """
base:
  dataset: {name: phantom, cases: 12, size: [32, 32, 32]}
  split: {test: 3, labeled: 2}
  backbone: {name: unet, channels: [4, 8], strides: [2]}
  strategy: supervised
  training: {patch_size: [16, 16, 16]}
"""
RANDOM = "  - {strategy: cps, split.labeled: [2, 3, 5]}\n"
HEAD = "name: st\nbaseline: cps\nseeds: [1, 2]\nmatrix:\n"


@pytest.fixture
def study(tmp_path):
    def load(text, base=BASE):
        path = tmp_path / "st.yaml"
        path.write_text(text + base)
        return load_study(path)

    return load


@pytest.fixture
def said(study, tmp_path):
    def refused(text, base=BASE):
        with pytest.raises(RecipeError) as caught:
            study(text, base)
        return [str(problem).replace(f"{tmp_path}/", "") for problem in caught.value.problems]

    return refused


def test_each_model_comes_after_the_one_with_fewer_cases_and_the_first_round_is_the_random_one(study):
    found = study(
        HEAD + RANDOM + "  - {strategy: cps, acquisition: [disagreement, entropy], split.labeled: [5, 2, 3]}\n"
    )

    assert [model.name for model in found.models if not model.acquired] == [
        f"cps_{count}_s{seed}" for count in (2, 3, 5) for seed in (1, 2)
    ]
    chains = {model.name: (model.acquired.after, model.acquired.count) for model in found.models if model.acquired}
    assert chains == {
        f"cps_by_{rule}_{count}_s{seed}": (after.format(rule=rule, seed=seed), added)
        for rule in ("disagreement", "entropy")
        for seed in (1, 2)
        for count, after, added in ((3, "cps_2_s{seed}", 1), (5, "cps_by_{rule}_3_s{seed}", 2))
    }
    assert {model.method for model in found.models} == {"cps", "cps by disagreement", "cps by entropy"}


def test_a_model_waits_until_its_cases_are_known(study):
    text = HEAD + RANDOM + "  - {strategy: cps, acquisition: {name: hybrid, pool: 2}, split.labeled: [2, 5]}\n"
    last = study(text).models[-1]

    assert last.name == "cps_by_hybrid_pool-2_5_s2"
    assert last.is_waiting
    known = last.with_labeled(["a", "b", "c", "d", "e"])
    assert not known.is_waiting
    assert known.labeled == 5
    assert known.hash != last.hash
    assert known.acquired == last.acquired


def test_rules_are_checked_before_the_first_model_is_trained(said, monkeypatch):
    lists = "split.labeled: [2, 3]}\n"
    assert "'entropi'" in said(HEAD + RANDOM + "  - {strategy: cps, acquisition: entropi, " + lists)[0]
    assert "pol" in said(HEAD + RANDOM + "  - {strategy: cps, acquisition: {name: hybrid, pol: 2}, " + lists)[0]
    supervised = "  - {strategy: supervised, split.labeled: [2, 3]}\n"
    alone = said(HEAD + RANDOM + supervised + "  - {strategy: supervised, acquisition: disagreement, " + lists)
    assert len(alone) == 1
    assert "disagreement compares 2 networks, and supervised predicts with 1" in alone[0]
    assert "acquisition must be" in said(HEAD + RANDOM + "  - {strategy: cps, acquisition: [4], " + lists)[0]
    monkeypatch.setattr(UNet, "capabilities", frozenset())
    found = said(HEAD + RANDOM + "  - {strategy: cps, acquisition: diversity, " + lists)
    assert "diversity needs the features of an encoder, which unet does not offer" in found[0]


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ("split.labeled: all", "needs counts"),
        ("split.labeled: 2", "needs several counts"),
        ("split.labeled: [[a, b], [a, b, c]]", "needs counts"),
        ("split.labeled: [4, 6]", "no model of the study has 4 labeled cases at random"),
        ("split.labeled: [2, 3], split.total: labeled", "nothing to choose from"),
        ("split.labeled: [2, 3, 3]", "listed twice"),
    ],
)
def test_rounds_that_cannot_be_run_are_refused(said, block, words):
    found = said(HEAD + RANDOM + "  - {strategy: cps, acquisition: entropy, " + block + "}\n")
    assert any(words in one for one in found), found
    assert all(one.startswith("matrix.1 (st.yaml:6)") for one in found)
