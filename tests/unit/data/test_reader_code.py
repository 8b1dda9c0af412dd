"""The case store and the code of a dataset of somebody else's: what was read by other code is read anew."""

import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from made_dataset import MadeDataset

from semiseg.data.fingerprint import code_digest
from semiseg.data.split import make_split
from semiseg.data.store import CaseStore
from semiseg.datasets.folder import Folder
from semiseg.datasets.phantom import Phantom
from semiseg.recipe import schema

SPLIT = schema.Split(test=["a"], validation=["b"], labeled=["c", "d"])
PACKAGE = {
    "theirs/base.py": """
        from made_dataset import MadeDataset
        class Base(MadeDataset):
            SCALE = 1
    """,
    "mine/__init__.py": "",
    "mine/strategy.py": "from mine import reader",
    "mine/values.py": "SCALE = 1",
    "mine/deep/__init__.py": "",
    "mine/deep/late.py": "SCALE = 1",
    "mine/reader.py": """
        from semiseg.types import Volume
        from theirs.base import Base
        from .values import SCALE
        OWN = 1
        class Mine(Base):
            def read_image(self, case):
                from .deep import late
                found = super().read_image(case)
                scale = OWN * SCALE * self.SCALE * late.SCALE
                return Volume(found.array * scale, found.geometry)
            def read_label(self, case):
                found = super().read_label(case)
                return Volume(found.array * (OWN < 2), found.geometry)
    """,
}
MODULES = ("mine", "theirs")


def write(root, name, text):
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    lines = text.strip("\n").split("\n")
    indent = len(lines[0]) - len(lines[0].lstrip())
    (root / name).write_text("\n".join(line[indent:] for line in lines))


def forget():
    for name in [name for name in sys.modules if name.partition(".")[0] in MODULES]:
        del sys.modules[name]
    importlib.invalidate_caches()


@pytest.fixture
def code(tmp_path, monkeypatch):
    """The folder of a package with a dataset, which can be imported."""
    root = tmp_path / "code"
    for name, text in PACKAGE.items():
        write(root, name, text)
    monkeypatch.syspath_prepend(root)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # an edit within a second would not be seen
    yield root
    forget()


def reader():
    forget()
    return importlib.import_module("mine.reader").Mine


def filled(cls, tmp_path):
    dataset = cls(tmp_path / "data", 8, unlabeled=2)
    store = CaseStore(dataset, schema.Preprocessing(normalize="none"), make_split(dataset.cases(), SPLIT, 0), tmp_path)
    store.fill(dataset.cases())
    return store, dataset


def edit(path, old="= 1", new="= 3"):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize("name", [name for name, text in PACKAGE.items() if "= 1" in text])
def test_after_a_change_of_the_code_all_is_read_anew(code, tmp_path, name):
    before, first = filled(reader(), tmp_path)
    edit(code / name)
    after, second = filled(reader(), tmp_path)
    assert (before.n_made, after.n_made) == (8, 8)
    assert sorted(second.read) == sorted(first.read)  # test cases and the labels of unlabeled ones among them
    np.testing.assert_array_equal(after.image("c").image(), 3 * before.image("c").image())
    changed = name == "mine/reader.py"
    assert (after.labeled("c").n_foreground == 0) == changed


def test_the_same_code_is_read_once(code, tmp_path):
    assert filled(reader(), tmp_path)[0].n_made == 8
    store, dataset = filled(reader(), tmp_path)
    assert (store.n_made, dataset.read) == (0, [])
    script = "import test_reader_code as t, pathlib as p; print(t.filled(t.reader(), p.Path.cwd())[0].n_made)"
    assert python("-c", script, folders=[code], cwd=tmp_path) == "0\n"


def python(*args, folders=(), cwd, **kwargs):
    here = Path(__file__).parent
    path = ":".join(map(str, [*folders, here, *(p for p in sys.path if p)]))
    env = {"PYTHONPATH": path, "PATH": "", "PYTHONWARNINGS": "ignore"}
    kwargs |= {"cwd": cwd, "env": env, "capture_output": True, "text": True}
    done = subprocess.run([sys.executable, *args], check=False, **kwargs)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_a_version_stands_for_what_is_not_in_the_code(tmp_path, monkeypatch):
    assert filled(MadeDataset, tmp_path)[0].n_made == 8
    monkeypatch.setattr(MadeDataset, "version", 2)
    assert filled(MadeDataset, tmp_path)[0].n_made == 8
    monkeypatch.undo()
    assert filled(MadeDataset, tmp_path)[0].n_made == 0


def test_built_in_datasets_are_told_by_the_format_alone():
    assert code_digest(Folder) == code_digest(Phantom) == ""


def test_a_script_is_a_source(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    assert [python(script.name, cwd=tmp_path) for _ in range(2)] == ["8\n", "0\n"]
    edit(script, "(), 1", "(), 2")
    assert python(script.name, cwd=tmp_path) == "8\n"


SCRIPT = """
import pathlib
from test_reader_code import MadeDataset, filled
from semiseg.types import Volume

here, scale = pathlib.Path.cwd(), 1

class Typed(MadeDataset):
    def read_image(self, case):
        found = super().read_image(case)
        return Volume(found.array * scale, found.geometry)

print(filled(Typed, here)[0].n_made)
"""


def test_a_class_of_unknown_text_has_its_bases_code_alone():
    cls = type("Typed", (MadeDataset,), {"__module__": "no_such_module"})
    assert code_digest(cls) == code_digest(MadeDataset) != ""
