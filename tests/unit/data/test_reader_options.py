"""What a dataset's options add to the key of an entry: the content of files that they name, and no place."""

import copy
import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from made_dataset import MadeDataset

from semiseg.data.digests import Digests
from semiseg.data.fingerprint import describe_reader
from semiseg.data.split import make_split
from semiseg.data.store import CaseStore
from semiseg.errors import ComponentError, DataError
from semiseg.interfaces.component import ComponentOptions
from semiseg.recipe import schema
from semiseg.types import Case, Volume

SPLIT = schema.Split(test=["a"], validation=["b"], labeled=["c", "d"])


class TableOptions(ComponentOptions):
    root: Path
    table: Path


class Tabled(MadeDataset):
    """A table says of each case whether there is anything."""

    def __init__(self, root, table):
        super().__init__(root, 6)
        self.options = TableOptions(root=root, table=table)

    def read_label(self, case):
        found = super().read_label(case)
        table = self.options.table if self.options.table.is_file() else self.options.root / self.options.table
        return Volume(found.array * json.loads(table.read_text())[case.id], found.geometry)


def write(table, **values):
    table.parent.mkdir(parents=True, exist_ok=True)
    table.write_text(json.dumps(dict.fromkeys("abcdef", 1) | values))
    return table


def filled(dataset, store, split=SPLIT):
    found = CaseStore(dataset, schema.Preprocessing(), make_split(dataset.cases(), split, 0), store)
    found.fill(dataset.cases())
    return found


def test_another_table_in_the_same_place_is_seen(tmp_path):
    dataset = Tabled(tmp_path / "data", write(tmp_path / "table.json"))
    assert filled(dataset, tmp_path / "store").labeled("c").n_foreground > 0
    assert filled(dataset, tmp_path / "store").n_made == 0
    write(tmp_path / "table.json", c=0)
    again = filled(dataset, tmp_path / "store")
    assert (again.n_made, again.labeled("c").n_foreground) == (6, 0)


def test_the_same_table_and_data_are_found_again_elsewhere(tmp_path):
    filled(Tabled(tmp_path / "data", write(tmp_path / "table.json")), tmp_path / "store")
    (tmp_path / "data").rename(tmp_path / "elsewhere")
    moved = Tabled(tmp_path / "elsewhere", write(tmp_path / "tables" / "mine.json"))
    assert filled(moved, tmp_path / "store").n_made == 0


def test_a_table_that_is_named_within_the_data_is_seen(tmp_path):
    def labeled():
        return filled(Tabled(tmp_path / "data", Path("table.json")), tmp_path / "store").labeled("c").n_foreground

    write(tmp_path / "data" / "table.json")
    assert labeled() > 0
    write(tmp_path / "data" / "table.json", c=0)
    assert labeled() == 0


def described(root, **values):
    dataset = MadeDataset(root / "data", 1)
    dataset.options = values
    return json.dumps(describe_reader(dataset, Digests(root / "digests")))


class Part(ComponentOptions):
    table: Path
    scale: float = 1


def test_files_are_seen_wherever_they_stand_in_the_options(tmp_path):
    table = tmp_path / "table"
    for value in ([table], {"one": table}, {table}, (1, {("a", 1): [table]}), Part(table=table)):
        table.write_text("one")
        one = described(tmp_path, tables=value)
        table.write_text("two")
        assert described(tmp_path, tables=value) != one
        assert str(table) not in one


def test_options_that_are_no_files_count_as_they_are_written(tmp_path):
    written = [described(tmp_path, part=value) for value in (None, "table", Path("table"), Path("other"), tmp_path)]
    assert len(set(written)) == len(written)
    assert described(tmp_path, part=tmp_path / "data") == written[-1]  # a folder may be moved
    table = tmp_path / "table"
    table.touch()
    assert described(tmp_path, part=Part(table=table)) != described(tmp_path, part=Part(table=table, scale=2))
    assert described(tmp_path, part={"b", "a", "c"}) == described(tmp_path, part={"c", "b", "a"})


@dataclass(frozen=True)
class Spread:
    tables: frozenset
    names: frozenset


def window(values):
    return values


def test_the_working_directory_changes_nothing(tmp_path, monkeypatch):
    (tmp_path / "data" / "parts").mkdir(parents=True)
    (tmp_path / "data" / "table").write_text("one")
    options = {"folder": tmp_path / "data", "table": Path("table"), "parts": Path("parts")}
    found = set()
    for place in (tmp_path, tmp_path / "data"):
        monkeypatch.chdir(place)
        found.add(described(tmp_path, **options))
    assert len(found) == 1


def test_a_dataclass_counts_by_its_values_and_the_content_of_its_files(tmp_path):
    (tmp_path / "table").write_text("one")
    names = [f"name {i}" for i in range(50)]
    one = described(tmp_path, spread=Spread(frozenset({tmp_path / "table"}), frozenset(names)))
    assert one == described(tmp_path, spread=Spread(frozenset({tmp_path / "table"}), frozenset(reversed(names))))
    assert str(tmp_path) not in one
    (tmp_path / "table").write_text("two")
    assert one != described(tmp_path, spread=Spread(frozenset({tmp_path / "table"}), frozenset(names)))


def test_what_is_another_in_every_process_is_told_by_name_or_refused(tmp_path):
    assert f"{__name__}.window" in described(tmp_path, window=window)
    assert f"{__name__}.Spread" in described(tmp_path, kind=Spread)
    assert described(tmp_path, kind=re.compile("a")) != described(tmp_path, kind=re.compile("b"))
    with pytest.raises(ComponentError, match="Option part of the dataset contains <object object at 0x"):
        described(tmp_path, part=[object()])


class Window:
    """It looks like any other."""

    def __init__(self, values):
        self.values = values

    def __repr__(self):
        return "Window()"


def long(last):
    values = np.zeros(5000)
    values[2500] = last
    return values


ALIKE = {
    "long arrays, which are cut": (long(0), long(1)),
    "arrays that are rounded": (np.array([0.1]), np.array([0.1 + 1e-12])),
    "tensors that are rounded": (torch.tensor([1.0]), torch.tensor([1.000001])),
    "tensors with gradients": tuple(torch.tensor([1.0 + i * 1e-6], requires_grad=True) for i in range(2)),
    "tensors that numpy does not know": (torch.zeros(5000).bfloat16(), torch.from_numpy(long(1)).bfloat16()),
    "other types": (np.zeros(2, np.int32), np.zeros(2, np.int64)),
    "other shapes": (np.zeros((2, 3)), np.zeros((3, 2))),
    "arrays of objects": (np.array([long(0), None], object), np.array([long(1), None], object)),
    "arrays in lists": ([long(0)], [long(1)]),
    "arrays in objects": (Window({"table": long(0)}), Window({"table": long(1)})),
    "networks": tuple(torch.nn.Linear(2, 2) for _ in range(2)),
    "masks": tuple(np.ma.masked_array(long(0), mask=long(value)) for value in (0, 1)),
}


@pytest.mark.parametrize(("one", "other"), ALIKE.values(), ids=ALIKE)
def test_arrays_and_what_holds_them_count_by_their_content(tmp_path, one, other):
    assert described(tmp_path, table=one) != described(tmp_path, table=other)
    assert described(tmp_path, table=one) == described(tmp_path, table=copy.deepcopy(one))


def test_an_array_that_cannot_be_read_is_refused(tmp_path):
    class Far:
        def __array__(self, *args, **kwargs):
            raise OSError("it is on another machine")

    with pytest.raises(ComponentError, match="Option table of the dataset contains an array that cannot be read"):
        described(tmp_path, table=Far())


def test_an_object_that_holds_itself_has_an_end(tmp_path):
    window = Window([])
    window.values.append(window)
    assert "Window()" in described(tmp_path, window=window)


def test_a_file_that_cannot_be_looked_at_is_named_with_its_option(tmp_path):
    with pytest.raises(DataError, match=r"dataset.table: /x+ cannot be read: File name too long\n    Check"):
        described(tmp_path, table=Path("/" + 300 * "x"))


class OneFile(MadeDataset):
    """All cases are in one file, one after the other: it is the id that says which."""

    def __init__(self, root):
        super().__init__(root, 6)
        arrays = [np.stack([np.load(path) for path in (*case.images, case.label)]) for case in self._cases]
        np.save(root / "all.npy", np.stack(arrays))
        self._cases = [Case(case.id, (root / "all.npy",), root / "all.npy") for case in self._cases]

    def read_image(self, case):
        geometry = self.read_geometry(case)
        return Volume(self._load(case.images[0])["abcdef".index(case.id)][:2], geometry)

    def read_label(self, case):
        return Volume(self._load(case.label)["abcdef".index(case.id)][2].astype(np.uint8), self.read_geometry(case))


def test_cases_in_one_file_are_not_taken_for_each_other(tmp_path):
    dataset = OneFile(tmp_path / "data")
    store = filled(dataset, tmp_path / "store")
    assert store.n_made == 6
    for case in dataset.cases()[1:4]:
        whole = np.where(dataset.read_image(case).array.any(0), dataset.read_label(case).array, 0)
        assert store.labeled(case.id).n_foreground == np.count_nonzero(whole)
    assert len({store.image(name).image().tobytes() for name in "bcdef"}) == 5
