"""What is mistyped on the command line: the exit code and words of each kind of mistake, and of Ctrl-C."""

import os
import shutil
import signal
import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest
from helpers_scores import write_run
from ruamel.yaml import YAML
from small_run import SMALL

from semiseg.cli.main import main
from semiseg.errors import RunError
from semiseg.recipe.dump import dump_recipe
from semiseg.recipe.load import load_recipe


@pytest.fixture
def said(monkeypatch, capsys):
    """The command line as ``semiseg`` runs it: exit code, and what was said."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["semiseg", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return ended.value.code or 0, out + err

    return run


LATE = '''
    from semiseg.interfaces.augmentation import Augmentation

    class Late(Augmentation):
        """An augmentation that imports what it needs when it is made."""

        def __init__(self, options):
            import not_there_at_all

        def __call__(self, image, label, patch_size):
            return image, label
'''


def test_a_plugin_without_a_package_that_it_requires_is_told_with_its_name(said, recipe, distribution):
    requires = ("semiseg>=0.2", "not-there-at-all>=3", 'not-needed; extra == "test"')
    distribution("late", {"semiseg.augmentations": {"late": "late_module:Late"}}, requires=requires, late_module=LATE)
    code, text = said("check", recipe, "--set", "augmentation=late")
    assert code == 2
    assert "No module named 'not_there_at_all'" in text
    assert "Not installed although required: package late requires not-there-at-all>=3." in text
    assert "pip install 'not-there-at-all>=3'" in text
    assert "Traceback" not in text
    assert "not-needed" not in text


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "small.yaml"
    with path.open("w") as file:
        YAML(typ="safe").dump({**SMALL, "preprocessing": {"store": str(tmp_path / "store")}}, file)
    return path


@pytest.fixture
def labels(tmp_path):
    for name in ("predicted", "truth"):
        (tmp_path / name).mkdir()
        array = np.zeros((6, 6, 6), np.uint8)
        array[2:4, 2:4, 2:4] = 1
        nib.save(nib.Nifti1Image(array, np.eye(4)), tmp_path / name / "one.nii.gz")
    return tmp_path / "predicted", tmp_path / "truth"


@pytest.fixture
def runs(tmp_path):
    return [write_run(tmp_path / "runs" / name, phi=phi) for name, phi in (("a", 0.1), ("b", 0.2))]


@pytest.fixture(params=["afile", "afile/x", "/proc/none"])
def place(request, tmp_path):
    """A folder that cannot be."""
    if request.param.startswith("/proc") and not sys.platform.startswith("linux"):
        pytest.skip("needs /proc")
    (tmp_path / "afile").touch()
    return tmp_path / request.param


def is_refused(ended, place):
    code, text = ended
    assert code == 4, text
    assert f"{place} cannot be created" in text
    assert "Choose another --output" in text
    assert "Traceback" not in text


@pytest.fixture
def no_work(monkeypatch):
    """Work whose result would be lost is a failure."""

    def fail(*arguments, **options):
        raise AssertionError("the work began")

    for name in ("scoring.evaluate.evaluate", "comparison.compare.compare", "bench.bench.bench"):
        monkeypatch.setattr(f"semiseg.{name}", fail)


class TestPlaces:
    def test_of_a_run(self, said, recipe, place):
        is_refused(said("run", recipe, "-o", place), place)

    @pytest.mark.usefixtures("no_work")
    def test_of_scores_before_they_are_computed(self, said, labels, place):
        is_refused(said("evaluate", *labels, "-o", place), place)

    @pytest.mark.usefixtures("no_work")
    def test_of_a_comparison_before_it_is_made(self, said, runs, place):
        is_refused(said("compare", *runs, "-o", place), place)

    @pytest.mark.usefixtures("no_work")
    def test_of_timings_before_they_are_taken(self, said, recipe, place, tmp_path):
        is_refused(said("bench", recipe, "-o", place / "bench.json"), place)
        code, text = said("bench", recipe, "-o", tmp_path)
        assert (code, f"{tmp_path} cannot be written: Is a directory" in text) == (4, True)

    def test_of_a_schema(self, said, place):
        is_refused(said("schema", "-o", place / "schema.json"), place)

    def test_of_a_proposed_recipe(self, said, labels, place, tmp_path):
        cases = tmp_path / "cases"
        for kind in ("images", "labels"):
            (cases / "labeled" / kind).mkdir(parents=True)
            for name in ("one", "two", "three"):
                shutil.copy(labels[1] / "one.nii.gz", cases / "labeled" / kind / f"{name}.nii.gz")
        is_refused(said("init", cases, "-o", place / "recipe.yaml"), place)

    def test_of_the_case_store_once(self, said, recipe, place, tmp_path):
        code, text = said("run", recipe, "-o", tmp_path / "out", "--set", f"preprocessing.store={place}")
        assert code == 4, text
        assert text.count("cannot be written") == 1
        assert f"The case store {place} cannot be written" in text
        assert "preprocessing.store" in text
        assert "SEMISEG_CACHE" in text
        assert "cannot be read" not in text


class TestResume:
    @pytest.fixture(autouse=True)
    def stops_early(self, monkeypatch):
        def stop(*arguments, **options):
            raise RunError("far enough")

        monkeypatch.setattr("semiseg.pipeline.run.make_plan", stop)

    def test_where_no_run_is_says_so(self, said, recipe, tmp_path):
        note = f"Note: no run to resume in {tmp_path / 'out'}; starting a new one."
        assert note in said("run", recipe, "-o", tmp_path / "out", "--resume")[1].splitlines()
        assert "no run to resume" not in said("run", recipe, "-o", tmp_path / "out", "--resume", "-q")[1]
        assert "no run to resume" not in said("run", recipe, "-o", tmp_path / "out")[1]

    def test_where_a_run_is_says_nothing(self, said, recipe, tmp_path):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "recipe.yaml").write_text(dump_recipe(load_recipe(recipe)))
        code, text = said("run", recipe, "-o", tmp_path / "out", "--resume")
        assert (code, "far enough" in text, "no run to resume" in text) == (4, True, False)

    def test_is_said_by_one_process_of_several(self, said, recipe, tmp_path, monkeypatch):
        monkeypatch.setenv("RANK", "1")
        assert "no run to resume" not in said("run", recipe, "-o", tmp_path / "out", "--resume")[1]


class TestArguments:
    @pytest.mark.parametrize(
        "mistake",
        [
            ("--labels", "1=ant,2"),
            ("--labels", "0=ant"),
            ("--regions", "all"),
            ("--regions", "all=ant+pos"),
            ("--preset", "nnunet"),
            ("--policy", "foo"),
            ("--metric", "nsd:tolerance"),
            ("--metric", "dice", "--metric", "dice"),
            ("--preset", "brats2023", "--metric", "nsd"),
        ],
    )
    def test_of_evaluate(self, said, labels, mistake, tmp_path):
        code, text = said("evaluate", *labels, *mistake, "-q")
        assert (code, "Traceback" in text) == (2, False), text

    @pytest.mark.parametrize(
        "mistake", [("--checkpoint", "x"), ("--policy", "foo"), ("--metric", "dise"), ("--baseline", "x")]
    )
    def test_of_compare(self, said, runs, mistake):
        code, text = said("compare", *runs, *mistake)
        assert (code, "Traceback" in text) == (2, False), text

    def test_a_mistaken_argument_leaves_no_folder(self, said, labels, tmp_path):
        for mistake in (("--policy", "foo"), ("--preset", "foo"), ("--labels", "1")):
            assert said("evaluate", *labels, *mistake, "-o", tmp_path / "out")[0] == 2
        assert not (tmp_path / "out").exists()

    def test_files_that_do_not_fit_are_data(self, said, labels):
        assert said("evaluate", *labels, "--labels", "2=ant")[0] == 3
        assert said("evaluate", labels[0], labels[1] / "nowhere")[0] == 3


class TestCtrlC:
    @pytest.mark.parametrize(
        "where", ["pipeline.check.check", "scoring.evaluate.evaluate", "prediction.predict.predict"]
    )
    def test_is_answered(self, said, recipe, labels, where, monkeypatch):
        def interrupt(*arguments, **options):
            raise KeyboardInterrupt

        monkeypatch.setattr(f"semiseg.{where}", interrupt)
        command = {"check": ("check", recipe), "evaluate": ("evaluate", *labels)}
        predict = ("predict", labels[0], "-i", labels[1], "-o", labels[0] / "out")
        assert said(*command.get(where.rpartition(".")[2], predict)) == (130, "Stopped by Ctrl-C.\n")

    def test_a_run_says_how_to_go_on_instead(self, said, recipe, tmp_path, monkeypatch):
        def interrupt(*arguments, **options):
            raise KeyboardInterrupt

        monkeypatch.setattr("semiseg.pipeline.run.make_plan", interrupt)
        code, text = said("run", recipe, "-o", tmp_path / "out", "-q")
        assert code == 130
        assert "run the same command with --resume" in text
        assert "Ctrl-C" not in text

    def test_of_a_process(self, recipe):
        code = """
import signal, sys, time
import semiseg.pipeline.check as module
from semiseg.cli.main import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where tests run in a shell's background
def wait(recipe, **options):
    print("ready", flush=True)
    time.sleep(60)
module.make_plan = wait
main()
"""
        command = [sys.executable, "-c", code, "check", str(recipe)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with subprocess.Popen(command, **pipes, text=True, env=os.environ) as process:
            try:
                assert process.stdout.readline() == "ready\n"
                process.send_signal(signal.SIGINT)
                out, err = process.communicate(timeout=60)
            finally:
                process.kill()
        assert (process.returncode, out, err) == (130, "", "Stopped by Ctrl-C.\n")
