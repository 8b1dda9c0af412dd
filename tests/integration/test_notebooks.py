"""The notebooks of the documentation run from their first cell to their last."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[2] / "docs/notebooks"


def run(name, folder):
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    return [output for cell in notebook.cells for output in cell.get("outputs", ())]


def shown(outputs, kind):
    return [output["data"][kind] for output in outputs if kind in output.get("data", {})]


@pytest.mark.slow
def test_a_trained_model(tmp_path):
    outputs = run("trained_model", tmp_path)
    tables = shown(outputs, "text/html")
    assert "mean ± std" in tables[0]
    assert "Phantom" in tables[1]
    assert "hd95, mm" in tables[-1]
    assert len(shown(outputs, "image/png")) == 1
    said = "".join(output["text"] for output in outputs if output.get("name") == "stdout")
    assert "training: 50 of 50 steps" in said


def test_a_strategy_in_a_loop_of_one_s_own(tmp_path):
    (networks, dice) = shown(run("own_loop", tmp_path), "text/plain")
    assert "student_b" in networks
    scores = {name: float(value) for name, value in (one.split(": ") for one in dice.strip("{}").split(", "))}
    assert min(scores.values()) > 0.6  # squares are learned


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebooks_are_stored_with_their_outputs_and_without_errors(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert outputs
    assert not [output for output in outputs if output.output_type == "error"]
    assert path.stat().st_size < 100_000
