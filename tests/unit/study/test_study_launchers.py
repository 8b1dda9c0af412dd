"""A study's launcher is an installed component, with options from the study recipe."""

import json

import pytest
from helpers_reporter import Heard
from jsonschema import Draft7Validator
from typer.testing import CliRunner

from semiseg import __version__
from semiseg.cli.main import app
from semiseg.errors import ComponentError, RecipeError
from semiseg.study.load import load_study
from semiseg.study.run import run_study
from semiseg.study.schema import study_schema

STUDY = """\
name: st
{launchers}
matrix:
  - strategy: supervised
base:
  dataset: {{name: phantom, cases: 4, size: [32, 32, 32]}}
  split: {{test: 1, validation: 1, labeled: 1}}
  backbone: {{name: unet, channels: [4, 8], strides: [2], num_res_units: 0}}
  strategy: supervised
  training: {{epochs: 1, patch_size: [16, 16, 16]}}
"""
INSTANT = '''
import json
from semiseg.plugin import ComponentOptions, Launcher, Running

class Done(Running):
    """An ended job."""

    def poll(self):
        return 0

    def stop(self):
        pass

class Instant(Launcher):
    """Scores without training.

    Made up 2026.
    """

    class Options(ComponentOptions):
        score: int = 1
        """What every model gets."""

    here = False

    def start(self, job, taken=()):
        job.folder.mkdir(parents=True)
        said = {"score": self.options.score, "jobs": self.slots, "folder": str(self.folder), "name": job.name}
        (job.folder / "summary.json").write_text(json.dumps(said))
        return Done()
'''


@pytest.fixture
def recipe(tmp_path):
    def write(launchers=""):
        path = tmp_path / "st.yaml"
        path.write_text(STUDY.format(launchers=launchers))
        return path

    return write


@pytest.fixture
def instant(distribution):
    distribution("semiseg-instant", {"semiseg.launchers": {"instant": "instant:Instant"}}, instant=INSTANT)


def test_a_launcher_of_another_package_runs_the_jobs_with_its_options(recipe, instant, tmp_path):
    path = recipe("launchers:\n  instant: {score: 7}\n  slurm: {timeout_min: 60}")
    run_study(path, tmp_path / "study", launcher="instant", jobs=3)
    said = json.loads((tmp_path / "study/models/supervised_1_s0/summary.json").read_text())
    folder = str(tmp_path / "study/jobs/instant")
    assert said == {"score": 7, "jobs": 3, "folder": folder, "name": "supervised_1_s0"}


def test_launchers_are_listed_and_shown(instant):
    listed = CliRunner().invoke(app, ["plugins"]).stdout.partition("\nlauncher\n")[2].splitlines()
    assert [line.split()[0] for line in listed[:3]] == ["instant", "local", "slurm"]
    assert "Scores without training." in listed[0]
    shown = CliRunner().invoke(app, ["plugins", "show", "slurm"]).stdout
    assert "timeout_min: " in shown
    assert "(default 1440)" in shown


def test_an_unknown_launcher_is_refused_as_any_component(recipe, tmp_path):
    with pytest.raises(ComponentError) as caught:
        run_study(recipe(), tmp_path / "study", launcher="slrum")
    assert str(caught.value).startswith("Unknown launcher 'slrum'. Did you mean 'slurm'?\n    Installed: ")
    assert f"local (semiseg {__version__}), slurm (semiseg {__version__})" in str(caught.value)
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize(
    ("launchers", "name", "said"),
    [
        ("slurm:\n  timeout_min: soon", "slurm", "slurm.timeout_min (st.yaml:3) must be a whole number"),
        (
            "launchers:\n  slurm:\n    timeout_min: 0",
            "slurm",
            "launchers.slurm.timeout_min (st.yaml:4) must be at least 1",
        ),
        ("launchers:\n  local: {gpus: 2}", "local", "Unknown key 'gpus' (st.yaml:3)"),
    ],
)
def test_wrong_options_are_told_with_their_line(recipe, tmp_path, launchers, name, said):
    with pytest.raises(RecipeError) as caught:
        run_study(recipe(launchers), tmp_path / "study", launcher=name)
    assert said in str(caught.value).replace(f"{tmp_path}/", "")
    assert not (tmp_path / "study").exists()


def test_slurm_alone_is_short_for_its_block_among_the_launchers(recipe):
    short = load_study(recipe("slurm: {mem_gb: 64}")).recipe
    long = load_study(recipe("launchers: {slurm: {mem_gb: 64}}")).recipe
    assert short.options_of("slurm") == ("slurm", {"mem_gb": 64})
    assert long.options_of("slurm") == ("launchers.slurm", {"mem_gb": 64})
    assert long.options_of("local") == ("launchers.local", {})


def test_the_schema_has_the_options_of_each_launcher(instant):
    schema = Draft7Validator(study_schema())
    study = {"name": "st", "matrix": [{"strategy": "cps"}], "base": "base.yaml"}

    def wrong(**launchers):
        return ["/".join(map(str, error.path)) for error in schema.iter_errors({**study, "launchers": launchers})]

    assert wrong(instant={"score": 7}, slurm={"timeout_min": 60, "slurm_partition": "gpu"}, other={"x": 1}) == []
    assert wrong(instant={"score": "x"}, slurm={"timeout_min": 0}) == [
        "launchers/instant/score",
        "launchers/slurm/timeout_min",
    ]
    assert wrong(local={"gpus": 2}) == ["launchers/local"]


def test_both_blocks_are_refused(recipe):
    with pytest.raises(RecipeError, match=r"slurm \(.*st.yaml:4\): .*here and in launchers.slurm"):
        load_study(recipe("launchers:\n  slurm: {mem_gb: 64}\nslurm: {mem_gb: 32}"))


def test_options_of_a_launcher_that_is_not_installed_are_noted(recipe, instant, tmp_path):
    said = Heard()
    run_study(recipe("launchers: {slrum: {mem_gb: 64}}"), tmp_path / "study", launcher="instant", reporter=said)
    note = "Note: launchers.slrum is not used: the installed launchers are instant, local, slurm."
    assert note in said.said
