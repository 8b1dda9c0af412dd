"""``semiseg plugins check``: which check fails, and why, for components that are wrong on purpose."""

import importlib.util
import os
import subprocess
import sys
import tomllib

import pytest
from typer.testing import CliRunner

from semiseg.cli.main import app
from semiseg.errors import ComponentError
from semiseg.scaffold.package import render


def check(name, *arguments):
    return CliRunner().invoke(app, ["plugins", "check", name, *arguments])


def failing(result):
    """The names of the checks that failed, and the reason below each."""
    lines = result.stdout.splitlines()
    at = [i for i, line in enumerate(lines) if line.startswith("  FAIL")]
    return {lines[i].removeprefix("  FAIL  ").partition(".")[0]: "\n".join(lines[i + 1 : i + 12]) for i in at}


@pytest.fixture
def broken(distribution, tmp_path):
    """Installs the new package of a kind, with one thing changed in its source."""

    def install(kind, right, wrong):
        files = {str(path): text for path, text in render(kind, "broken")}
        project = tomllib.loads(files["pyproject.toml"])["project"]
        sources = {path.removeprefix("src/"): text for path, text in files.items() if path.startswith("src/")}
        module = f"semiseg_broken/{kind}.py"
        assert right in sources[module]
        sources[module] = sources[module].replace(right, wrong)
        if kind == "dataset":
            (tmp_path / "tiny_data.py").write_text(files["tests/tiny_data.py"])
            subprocess.run([sys.executable, tmp_path / "tiny_data.py", tmp_path / "data"], check=True)
        return distribution(project["name"], project["entry-points"], files=sources)

    return install


@pytest.mark.parametrize(
    ("kind", "right", "wrong", "caught_by", "reason"),
    [
        (
            "strategy",
            "log_probabilities(unlabeled)), ",
            "log_probabilities(unlabeled)) / len(batch.unlabeled), ",
            "Micro batches add up to the whole batch",
            "AssertionError: networks.model.",
        ),
        (
            "strategy",
            '"supervised": supervised',
            '"supervised": float("nan") * supervised',
            "Losses are finite scalars [2D-50]",
            "isfinite",
        ),
        (
            "backbone",
            "        self.head =",
            "        self.spare = nn.Linear(2, 2)\n        self.head =",
            "Every parameter gets a gradient",
            "spare.weight",
        ),
        (
            "dataset",
            "    return Case(",
            "    image.open('rb').close()\n    return Case(",
            "Cases are found without opening their files",
            "case00.nii.gz",
        ),
        (
            "dataset",
            '"object"),',
            '"object"),\n            regions={"all": ("nowhere",)},',
            "Regions are unions of foreground classes",
            "region 'all' has members that are not foreground classes",
        ),
        (
            "backbone",
            "    def build",
            '    capabilities = frozenset({"split"})\n\n    def build',
            "Levels are what is decoded",
            "TwoLevels is not a SplitNetwork",
        ),
        ("metric", "return 1 - abs(", "return 1 - pair.spacing[0] * abs(", "Spacing is honored", "comparison failed"),
        (
            "augmentation",
            "label.flip(0)",
            "label",
            "Image and label stay aligned [2D]",
            "the Dice of image and label is only",
        ),
    ],
)
def test_a_broken_component_fails_the_check_that_is_about_it(broken, tmp_path, kind, right, wrong, caught_by, reason):
    broken(kind, right, wrong)
    result = check("broken", *(["--set", f"root={tmp_path / 'data'}"] if kind == "dataset" else []))
    failed = failing(result)

    assert isinstance(result.exception, ComponentError)
    found = [said for check, said in failed.items() if check.startswith(caught_by)]
    assert found
    assert all(reason in said for said in found)
    assert "  ok    " in result.stdout
    assert str(result.exception).startswith(f"{len(failed)} of ")
    assert f"checks failed for {kind} broken (semiseg-broken 1.0)." in str(result.exception)


def test_an_error_of_the_component_s_own_is_shown_with_its_line(broken):
    site = broken("metric", "return 1 - abs(", "return 1 // 0 - abs(")
    reason = failing(check("broken"))["Spacing is honored"]
    source = site / "semiseg_broken" / "metric.py"
    line = next(i for i, text in enumerate(source.read_text().splitlines(), 1) if "1 // 0" in text)

    assert reason.splitlines()[0].strip() == "ZeroDivisionError: integer division or modulo by zero"
    assert f"at {source}:{line}" in reason


def test_the_command_s_exit_code_is_the_component_error_s(broken):
    site = broken("metric", "return 1 - abs(", "return abs(")
    command = [sys.executable, "-m", "semiseg.cli.main", "plugins", "check"]
    # A project's own pytest settings must not matter.
    environment = {**os.environ, "PYTHONPATH": str(site), "PYTEST_ADDOPTS": "--no-such-flag"}
    bad = subprocess.run([*command, "broken"], env=environment, capture_output=True, text=True, check=False)
    assert bad.returncode == 2, bad.stderr
    assert "  FAIL  A perfect prediction has the best value. No other prediction" in bad.stdout
    assert bad.stderr.startswith("Error: ")
    assert "Traceback" not in bad.stderr


def test_a_strategy_is_run_with_networks_that_are_named():
    result = check("cps", "--set", "phi=1.0")

    assert result.exit_code == 0, result.stdout
    assert result.stdout.splitlines()[0].startswith("strategy cps (semiseg ")
    assert result.stdout.splitlines()[1].startswith("with a small unet for each role: channels=(4, 8)")
    assert result.stdout.splitlines()[2] == "on images with 2 and 3 spatial axes"
    assert result.stdout.splitlines()[-1].startswith("No failures in ")


def test_a_strategy_is_checked_for_the_numbers_of_axes_that_it_declares(broken):
    broken("strategy", "    @classmethod", "    spatial_dims = frozenset({3})\n\n    @classmethod")
    result = check("broken")

    assert result.exit_code == 0, result.stdout
    assert "on images with 3 spatial axes only, as the component declares in spatial_dims" in result.stdout
    assert "Losses are finite scalars [3D-50]" in result.stdout
    assert "2D" not in result.stdout
    assert "skip  Losses" not in result.stdout


def test_what_a_strategy_requires_and_unet_does_not_offer_is_told(broken):
    broken("strategy", "    @classmethod", '    requires = frozenset({"telepathy"})\n\n    @classmethod')

    assert "broken (semiseg-broken 1.0) requires telepathy of its backbones" in str(check("broken").exception)


def test_options_reach_the_component_and_wrong_ones_are_told(tmp_path):
    good = check("phantom", "--set", f"root={tmp_path}", "--set", "cases=2", "--set", "size=[32, 32, 32]")
    assert good.exit_code == 0, good.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["v1-2-cases-32x32x32-seed-0"]
    text = str(check("phantom", "--set", "casse=2", "--set", "seed=x").exception)
    assert "Unknown key 'phantom.casse'. Did you mean 'cases'?" in text
    assert "phantom.seed must be a whole number, not 'x'." in text
    assert str(check("phantom", "--set", "cases").exception).startswith("--set cases is not OPTION=VALUE.")


def test_required_options_are_named_with_how_to_give_them():
    text = str(check("folder").exception)

    assert "folder.root is missing." in text
    assert "To check dataset 'folder', set root and classes." in text
    assert "semiseg plugins check folder --set root=… --set classes=…" in text


@pytest.mark.parametrize(
    ("name", "flag", "about"),
    [
        ("none", "deterministic", "The seed of torch decides"),
        ("nsd", "uses_spacing", "Spacing is honored"),
    ],
)
def test_what_cannot_be_seen_from_outside_is_declared(name, flag, about):
    undeclared = check(name)

    assert {failed.partition(" [")[0] for failed in failing(undeclared)} == {about}
    assert f"--declare {flag}" in str(undeclared.exception)
    assert check(name, "--declare", flag).exit_code == 0
    assert str(check("cps", "--declare", flag).exception).startswith(f"Unknown flag '{flag}' in --declare.")


def test_capabilities_of_its_author_s_own_are_declared(broken):
    broken("backbone", "    def build", '    capabilities = frozenset({"telepathy", "clairvoyance"})\n\n    def build')
    undeclared = check("broken")

    assert list(failing(undeclared)) == ["Capabilities are known"]
    assert "unknown capabilities: clairvoyance, telepathy" in failing(undeclared)["Capabilities are known"]
    assert "--declare own_capabilities=NAME" in str(undeclared.exception)
    one, two = ["--declare", "own_capabilities=telepathy"], ["--declare", "own_capabilities=clairvoyance"]
    assert "unknown capabilities: clairvoyance;" in failing(check("broken", *one))["Capabilities are known"]
    assert check("broken", *one, *two).exit_code == 0
    assert str(check("broken", "--declare", "own_capabilities").exception) == (
        "--declare own_capabilities requires a name.\n    Write --declare own_capabilities=NAME."
    )


def test_a_strategy_s_option_in_epochs_is_declared():
    undeclared = check("cps", "--set", "wait_epochs=2")

    assert list(failing(undeclared)) == ["Schedules do not count epochs [1]"]
    assert "--declare counts_epochs" in str(undeclared.exception)
    assert check("cps", "--set", "wait_epochs=2", "--declare", "counts_epochs").exit_code == 0


def test_a_declaration_that_does_not_fit_is_refused():
    assert str(check("cps", "--declare", "frozen=student_a").exception).startswith("1 of ")
    assert str(check("cps", "--declare", "counts_epochs=2").exception).startswith("--declare counts_epochs=2 takes no")


@pytest.mark.parametrize(
    ("kind", "right", "wrong"),
    [
        ("metric", "return 1 - abs(", "return abs("),
        ("augmentation", "label.flip(0)", "label"),
        ("metric", "    def value", "    distance, higher_is_better = True, False\n\n    def value"),
    ],
    ids=["another check", "another check of an augmentation", "a distance has to use the spacing"],
)
def test_no_flag_is_named_where_it_would_not_help(broken, kind, right, wrong):
    broken(kind, right, wrong)
    result = check("broken")

    assert failing(result)
    assert "--declare" not in str(result.exception)


def test_a_flag_that_is_declared_already_is_not_named():
    assert "--declare" not in str(check("fused", "--declare", "deterministic").exception)


def test_a_name_of_several_kinds_needs_the_kind(distribution):
    distribution("semiseg-two", {"semiseg.metrics": {"cps": "semiseg.metrics.overlap:Dice"}})

    assert "Choose one: --kind strategy, --kind metric." in str(check("cps").exception)
    assert check("cps", "--kind", "metric").stdout.startswith("metric cps (semiseg-two 1.0)\n")


def test_without_pytest_the_message_says_how_to_install_it(monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "pytest" else found(name, *rest)
    )

    assert str(check("dice").exception) == (
        "The checks require pytest, which is not installed.\n    pip install 'semiseg[test]'"
    )
