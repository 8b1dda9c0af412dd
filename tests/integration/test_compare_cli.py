"""``semiseg compare`` as it is typed."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
from helpers_scores import table, write_run, write_table
from typer.testing import CliRunner

from semiseg.cli.main import app
from semiseg.errors import DataError

CASES = [f"case_{i:02d}" for i in range(12)]


def rows(shift):
    values = {"core": {case: 0.5 + i / 100 + shift for i, case in enumerate(CASES)}}
    distances = {"core": {case: 5 + i / 10 - 10 * shift for i, case in enumerate(CASES)}}
    return table(values) + table(distances, metric="hd95", unit="mm", definition="HD95 1")


@pytest.fixture
def runs(tmp_path):
    """Two seeds of two methods; the second is better by 0.1, by another bit for each seed."""
    for seed in (1, 2):
        write_run(tmp_path / f"supervised_s{seed}", rows(seed / 100), seed=seed)
        write_run(tmp_path / f"cps_s{seed}", rows(0.1 + seed / 50), seed=seed, phi=0.1)
    return [tmp_path / f"{name}_s{seed}" for name in ("supervised", "cps") for seed in (1, 2)]


def run(*arguments, width=100):
    return CliRunner().invoke(
        app, ["compare", *map(str, arguments)], env={"COLUMNS": str(width)}, catch_exceptions=False
    )


def test_tables_and_files(runs, tmp_path):
    result = run(*runs, "-o", tmp_path / "out")
    assert result.exit_code == 0
    for text in (
        "dice: higher is better",
        "hd95 in mm: lower is better",
        "baseline",
        "better",
        "Ranks by dice",
        "100.0%",
    ):
        assert text in result.stdout
    assert "cps: 2 runs, seeds 1, 2" in result.stdout
    assert "case's value is its mean" in result.stdout
    found = json.loads((tmp_path / "out/compare.json").read_text())
    entry = found["metrics"][0]["rows"][0]["entries"][1]
    assert (entry["method"], entry["verdict"]) == ("cps", "better")
    assert entry["difference"] == pytest.approx(0.115)
    line = next(line for line in result.stdout.splitlines() if "cps" in line)
    low, high = entry["interval"]
    assert f"{entry['mean']:.3f} ± {entry['seed_std']:.3f}" in line
    assert f"+0.115 [{low:+.3f}, {high:+.3f}]" in line
    assert (tmp_path / "out/compare.csv").read_text().count("\n") == 1 + 2 * 2


def test_nothing_is_cut_off_in_eighty_columns(runs):
    text = run(*runs, width=80).stdout
    assert "…" not in text
    assert "± 0.007" in text
    assert "+0.115 [+0.110, +0.120]" in text


def test_options(runs):
    text = run(*runs, "--baseline", "cps", "--metric", "hd95", "--quiet").stdout
    assert "dice" not in text
    assert "worse" in text
    assert "seeds" not in text


def test_names_that_look_like_markup(runs, tmp_path):
    scores = [replace(row, class_name="[red]core") for row in rows(0.0)]
    folders = [write_table(tmp_path / name, scores) for name in ("[bold]a", "b")]
    text = run(*folders).stdout
    assert "[red]core" in text
    assert "[bold]a" in text


def test_refusals_reach_the_terminal_without_a_traceback(runs, tmp_path):
    other = write_table(tmp_path / "other", [row for row in rows(0.0) if row.case != CASES[3]])
    command = [sys.executable, "-m", "semiseg.cli.main", "compare", *map(str, runs), str(other)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == DataError.exit_code
    assert result.stderr.startswith(f"Error: {other}: lacks 1 of 12 test cases that others have: case_03\n")
    assert result.stdout == ""


def test_it_runs_without_torch(runs):
    code = f"""
import sys
from semiseg.cli.main import app
app(["compare", *{[str(run) for run in runs]!r}], standalone_mode=False)
loaded = [name for name in ("torch", "monai", "torchio", "lightning_fabric", "h5py") if name in sys.modules]
assert not loaded, loaded
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    assert "\x1b" not in result.stdout
