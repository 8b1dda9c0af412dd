"""What is wrong in a study recipe is told at once, each key at its own line."""

import pytest

from semiseg.errors import RecipeError
from semiseg.study.load import load_study

BASE = """\
base:
  dataset: {name: phantom}
  split: {test: 3, validation: 2, labeled: 2}
  backbone: unet
  strategy: supervised
"""


@pytest.fixture
def said(tmp_path):
    """The problems of a study recipe."""

    def load(text, *overrides):
        path = tmp_path / "st.yaml"
        path.write_text(text)
        with pytest.raises(RecipeError) as caught:
            load_study(path, overrides)
        return [str(problem).replace(f"{tmp_path}/", "") for problem in caught.value.problems]

    return load


def test_head_and_matrix_in_one_round(said):
    found = said(
        "name: st\nseeds: [1, 1]\ncheckpoint: lst\nmatrix:\n"
        "  - strategy: cps\n    strategy.phy: 0.5\n    split.labelled: [2, 4]\n" + BASE
    )
    assert len(found) == 4
    assert found[0] == "seeds (st.yaml:2): a seed is listed twice."
    assert found[1].startswith("checkpoint (st.yaml:3) must be ")
    assert any("'labelled' (st.yaml:7)" in one for one in found)
    assert any("'phy' (st.yaml:6)" in one for one in found)


def test_a_name_that_is_missing_and_an_unknown_key_hide_no_model(said):
    found = said("sed: [1]\nmatrix:\n  - {backbone: unett}\n" + BASE)
    assert len(found) == 3
    assert "name is missing" in found[0] + found[1]
    assert "'sed' (st.yaml:1)" in found[0] + found[1]
    assert "'unett'" in found[2]


def test_the_head_and_an_override_in_one_round(said):
    found = said("name: st\nseeds: []\nmatrix:\n  - {split.labeled: 2}\n" + BASE, "base.training.epochs=3")
    assert len(found) == 2
    assert found[1].startswith("--set base.training.epochs=3: ")


@pytest.mark.parametrize("key", ["strategy", "strategy.name"])
def test_a_key_of_a_block_is_found_at_its_line_with_and_without_name(said, key):
    found = said(f"name: st\nmatrix:\n  - split.labeled: 2\n    strategy.phi: 0.5\n    {key}: cpss\n" + BASE)
    assert [one for one in found if "'cpss'" in one and "st.yaml:5" in one]


def test_blocks_are_refused_each_at_its_line_with_all_that_is_wrong(said):
    found = said("name: st\nmatrix:\n  - {split.labeled: [], seed: 3}\n  - {strategy: cps}\n  - {name: x}\n" + BASE)
    never = "cannot be in the matrix: seeds has its own key, and names are generated."
    assert found == [
        f"matrix.0 (st.yaml:3): split.labeled has no value; seed {never}",
        f"matrix.2 (st.yaml:5): name {never}",
    ]


def test_without_a_matrix_nothing_more_can_be_told(said):
    found = said("name: st\nmatrx:\n  - {backbone: unett}\n" + BASE)
    assert len(found) == 2
    assert "'matrix'" in "".join(found)
