import os
import subprocess
import sys

import pytest

from semiseg.openmp import sleep_while_waiting, spinning_note

SETTINGS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


@pytest.fixture(autouse=True)
def _unset(monkeypatch):
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)


def test_threads_sleep_unless_the_user_has_said_how_they_wait(monkeypatch):
    monkeypatch.setenv("KMP_BLOCKTIME", "200")
    sleep_while_waiting()
    assert "OMP_WAIT_POLICY" not in os.environ
    monkeypatch.delenv("KMP_BLOCKTIME")
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    sleep_while_waiting()
    assert os.environ["OMP_WAIT_POLICY"] == "active"
    monkeypatch.delenv("OMP_WAIT_POLICY")
    sleep_while_waiting()
    assert os.environ["OMP_WAIT_POLICY"] == "passive"


def test_programs_with_several_threads_are_told_how_to_set_it(monkeypatch):
    (note,) = spinning_note(2)
    assert "OMP_WAIT_POLICY=passive" in note
    assert spinning_note(1) == []
    monkeypatch.setenv("GOMP_SPINCOUNT", "0")
    assert spinning_note(2) == []


@pytest.mark.skipif(sys.platform != "linux", reason="of torch's builds with GNU OpenMP")
@pytest.mark.parametrize(("chosen", "taken"), [({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "active"}, "ACTIVE")])
def test_the_command_line_sets_it_before_torch_loads_openmp(chosen, taken):
    """OpenMP itself says what it found, when it is loaded."""
    script = "import sys; sys.argv = ['semiseg', '--version']\nfrom semiseg.cli.main import main\n"
    script += "try: main()\nexcept SystemExit: pass\nassert 'torch' not in sys.modules\nimport torch"
    unset = {key: value for key, value in os.environ.items() if key not in SETTINGS}
    environment = {**unset, **chosen, "OMP_DISPLAY_ENV": "true"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert f"OMP_WAIT_POLICY = '{taken}'" in done.stderr
