"""What the store serves and refuses, what it makes anew, and what it says of bad files."""

import hashlib
import json
import multiprocessing
import os
import time
from pathlib import Path

import numpy as np
import pytest
from made_dataset import LPS, SHAPE, MadeDataset

from semiseg.data.case_files import ARRAY, RECORD, Entries
from semiseg.data.case_records import StoredImage, StoredLabeled
from semiseg.data.digests import Digests
from semiseg.data.samples import read_label_patch
from semiseg.data.split import make_split
from semiseg.data.store import CaseStore, default_root
from semiseg.errors import DataError, ProtocolError
from semiseg.preprocessing.prepare import prepare
from semiseg.recipe import schema
from semiseg.types import Case, Geometry, Volume

OPTIONS = schema.Preprocessing()
SPLIT = schema.Split(test=["a"], validation=["b"], labeled=["c", "d"])


@pytest.fixture
def dataset(tmp_path):
    return MadeDataset(tmp_path / "data", 8, unlabeled=2)


def filled(dataset, tmp_path, options=OPTIONS, split=SPLIT, **kwargs):
    made = make_split(dataset.cases(), split, 0)
    store = CaseStore(dataset, options, made, tmp_path / "store")
    store.notes = store.fill(dataset.cases(), **kwargs)
    return store


def touch_old(path):
    os.utime(path, (1_600_000_000, 1_600_000_000))


def test_what_is_served_is_the_prepared_case(dataset, tmp_path):
    store = filled(dataset, tmp_path)
    case = dataset.cases()[2]
    prepared = prepare(dataset.read_image(case), OPTIONS)
    stored = store.labeled("c")
    assert isinstance(stored, StoredLabeled)
    np.testing.assert_array_equal(stored.image(), prepared.normalized())
    np.testing.assert_array_equal(prepared.restore(stored.label()), dataset.read_label(case).array)
    assert (stored.case_id, stored.channels, stored.shape) == ("c", 2, prepared.array.shape[1:])


def test_of_a_label_only_the_part_around_its_foreground_is_stored(dataset, tmp_path):
    stored = filled(dataset, tmp_path).labeled("c")
    part, whole = stored.raw_label(), stored.label()
    assert part.size < 0.3 * whole.size
    spans = [np.flatnonzero(whole.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    assert stored.label_start == tuple(span[0] for span in spans)
    assert part.shape == tuple(span[-1] - span[0] + 1 for span in spans)


def test_a_case_with_an_empty_label_can_be_read(dataset, tmp_path):
    path = dataset.cases()[2].label
    np.save(path, np.zeros_like(np.load(path)))
    stored = filled(dataset, tmp_path).labeled("c")
    assert (stored.n_foreground, stored.label().shape, stored.label().any()) == (0, stored.shape, False)
    assert not read_label_patch(stored, (-3, 0, 2), (9, 9, 9)).any()


def test_how_many_cases_had_to_be_read(dataset, tmp_path):
    assert filled(dataset, tmp_path).n_made == 8
    assert filled(dataset, tmp_path).n_made == 0
    path = dataset.cases()[3].label
    np.save(path, np.zeros_like(np.load(path)))
    assert filled(dataset, tmp_path).n_made == 1


def test_test_cases_and_labels_of_unlabeled_ones_are_refused(dataset, tmp_path):
    store = filled(dataset, tmp_path)
    for ask in (store.image, store.labeled):
        with pytest.raises(ProtocolError, match="its role is test"):
            ask("a")
        with pytest.raises(ProtocolError, match="not in the split"):
            ask("nobody")
    with pytest.raises(ProtocolError, match="its role is unlabeled"):
        store.labeled("e")
    for name in "bcdefgh":
        image = store.image(name)
        assert type(image) is StoredImage
        assert not any("label" in attribute for attribute in dir(image))


def test_nothing_of_what_is_withheld_is_in_the_store(dataset, tmp_path):
    store = filled(dataset, tmp_path)
    made = len(list((tmp_path / "store" / "entries").glob("*/*")))
    assert made == 7 + 3  # images of all but the test case; labels of two labeled cases and one for validation
    assert store.n_work == 8


def test_every_file_is_read_once_and_not_again(dataset, tmp_path):
    calls = []
    filled(dataset, tmp_path, progress=lambda: calls.append(1))
    assert len(calls) == 8
    assert sorted(dataset.read) == sorted(
        [(name, "image") for name in "abcdefgh"] + [(name, "label") for name in "abcdef"]
    )
    dataset.read.clear()
    filled(dataset, tmp_path)
    assert dataset.read == []


def test_a_changed_file_is_read_anew(dataset, tmp_path):
    before = filled(dataset, tmp_path).labeled("c").image()
    path = dataset.cases()[2].images[0]
    np.save(path, np.load(path) * 2 + (np.load(path) > 600))
    dataset.read.clear()
    after = filled(dataset, tmp_path).labeled("c").image()
    assert ("c", "image") in dataset.read
    assert ("d", "image") not in dataset.read
    assert not np.array_equal(before, after)


def test_moved_data_and_another_split_find_the_same_entries(dataset, tmp_path):
    filled(dataset, tmp_path)
    (tmp_path / "data").rename(tmp_path / "elsewhere")
    moved = MadeDataset(tmp_path / "elsewhere", 8, unlabeled=2)
    filled(moved, tmp_path, split=schema.Split(test=["a"], validation=["b"], labeled=["c"]))
    assert [what for _, what in moved.read] == ["label"]  # d's: it is unlabeled now


def test_other_preprocessing_is_another_entry(dataset, tmp_path):
    one = filled(dataset, tmp_path).image("c").image()
    two = filled(dataset, tmp_path, schema.Preprocessing(normalize="minmax")).image("c").image()
    assert two.max() == 1
    assert not np.array_equal(one, two)


@pytest.mark.parametrize("damage", ["no array", "short array", "no record", "changed record", "half a record"])
def test_a_damaged_entry_is_made_anew(dataset, tmp_path, damage):
    stored = filled(dataset, tmp_path).labeled("c")
    good = stored.image()
    array, record = stored.image_file, stored.image_file.with_name(RECORD)
    if damage == "no array":
        array.unlink()
    elif damage == "short array":
        array.write_bytes(array.read_bytes()[:-10])
    elif damage == "no record":
        record.unlink()
    elif damage == "changed record":
        record.write_text(record.read_text().replace('"zero_stays": true', '"zero_stays": false'))
    else:
        record.write_text(record.read_text()[:50])
    dataset.read.clear()
    again = filled(dataset, tmp_path).labeled("c")
    assert dataset.read == [("c", "image")]
    np.testing.assert_array_equal(again.image(), good)


def one_bit(data):
    data[len(data) // 2] ^= 16


def a_block_of_zeros(data):
    data[128:] = bytes(len(data) - 128)


def another_order_in_the_header(data):
    data[:128] = data[:128].replace(b"'fortran_order': False", b"'fortran_order': True ")


def another_type_in_the_header(data):
    data[:128] = data[:128].replace(b"'<i2'", b"'<u2'").replace(b"'|u1'", b"'|i1'")


def junk_in_the_header(data):
    data[10:60] = b"\xff" * 50


DAMAGES = [one_bit, a_block_of_zeros, another_order_in_the_header, another_type_in_the_header, junk_in_the_header]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("which", ["image", "label"])
def test_an_array_of_the_same_size_that_is_not_what_was_written_is_made_anew_and_told(dataset, tmp_path, damage, which):
    stored = filled(dataset, tmp_path).labeled("c")
    image, label = stored.image(), stored.label()
    path = stored.image_file if which == "image" else stored.label_file
    good = path.read_bytes()
    data = bytearray(good)
    damage(data)
    assert data != good
    assert len(data) == len(good)
    path.write_bytes(data)
    dataset.read.clear()
    store = filled(dataset, tmp_path)
    assert dataset.read == [("c", which)]
    np.testing.assert_array_equal(store.labeled("c").image(), image)
    np.testing.assert_array_equal(store.labeled("c").label(), label)
    assert path.read_bytes() == good
    (note,) = store.notes
    assert note.startswith("rebuilding the case store's entries of 1 case, which were damaged")
    assert note.endswith("digest of the voxels: c")
    assert filled(dataset, tmp_path).notes == ()


def test_an_array_that_is_damaged_while_training_is_told_and_made_anew_by_the_next_run(dataset, tmp_path):
    stored = filled(dataset, tmp_path).labeled("c")
    good = stored.image_file.read_bytes()
    for damage in (bytearray.clear, junk_in_the_header):
        data = bytearray(good)
        damage(data)
        stored.image_file.write_bytes(data)
        with pytest.raises(DataError, match=r"case c cannot be read from the case store(.|\n)*again to rebuild"):
            stored.image()
        assert filled(dataset, tmp_path).labeled("c").image_file.read_bytes() == good


def test_an_entry_of_a_version_without_digests_of_arrays_is_made_anew(dataset, tmp_path):
    stored = filled(dataset, tmp_path).labeled("c")
    path = stored.image_file.with_name(RECORD)
    record = json.loads(path.read_text())
    del record["array_sha256"]
    path.write_text(json.dumps(record))
    (note,) = filled(dataset, tmp_path).notes
    assert "or written by an earlier version without a digest of the voxels" in note
    assert "array_sha256" in json.loads(path.read_text())


class InMemory(MadeDataset):
    """Its voxels are in no file."""

    def __init__(self, root, images, labels):
        super().__init__(root, 6)
        self.images, self.labels = images, labels
        self._cases = [Case(case.id, (), Path("nowhere")) for case in self._cases]

    def read_image(self, case):
        return Volume(self.images[case.id], Geometry(SHAPE, LPS))

    def read_label(self, case):
        return Volume(self.labels[case.id], Geometry(SHAPE, LPS))


def in_memory(tmp_path, image, label=1):
    images = {name: np.full((2, *SHAPE), image + 10 * i, np.float32) for i, name in enumerate("abcdef")}
    labels = {name: np.zeros(SHAPE, np.uint8) for name in "abcdef"}
    for values in labels.values():
        values[5, 5, :label] = 1
    return InMemory(tmp_path / "data", images, labels)


def test_of_a_case_that_names_no_file_the_voxels_count(tmp_path):
    def served(image, label=1):
        store = filled(in_memory(tmp_path, image, label), tmp_path)
        case = store.labeled("c")
        return float(case.raw().mean()), case.n_foreground, store.n_made

    assert served(0.5) == (20.5, 1, 6)
    assert served(0.5) == (20.5, 1, 0)
    assert served(3.5) == (23.5, 1, 6)
    assert served(3.5, label=4) == (23.5, 4, 6)
    assert served(0.5) == (20.5, 1, 0)


def test_an_entry_that_is_gone_while_training_is_told(dataset, tmp_path):
    stored = filled(dataset, tmp_path).labeled("c")
    stored.image_file.unlink()
    with pytest.raises(DataError, match=r"case c cannot be read from the case store(.|\n)*again to rebuild"):
        stored.image()


def test_all_problems_of_all_cases_at_once(dataset, tmp_path):
    cases = {case.id: case for case in dataset.cases()}
    cases["a"].images[1].write_bytes(b"")  # the test case's image
    np.save(cases["c"].label, np.zeros((3, 3, 3), np.uint8))  # another grid
    np.save(cases["e"].label, np.full_like(np.load(cases["e"].label), 7))  # an unlabeled case's label
    for path in cases["h"].images:
        np.save(path, np.zeros_like(np.load(path)))
    with pytest.raises(DataError) as error:
        filled(dataset, tmp_path)
    text = str(error.value)
    assert len(error.value.problems) == 4
    assert f"{cases['a'].images[1]}: the file is damaged" in text
    assert f"{cases['c'].label}: the image and the label are on different grids: shape" in text
    assert f"{cases['e'].label}: the label has class 7" in text
    assert "case h: the image is empty" in text


def test_a_missing_file_is_a_problem_not_a_crash(dataset, tmp_path):
    dataset.cases()[5].images[0].unlink()
    with pytest.raises(DataError, match="case f: cannot be read"):
        filled(dataset, tmp_path)


def test_notes(dataset, tmp_path):
    cases = {case.id: case for case in dataset.cases()}
    label = np.load(cases["d"].label)
    np.save(cases["c"].label, np.zeros_like(label))
    label[0, 0, :3] = 1
    np.save(cases["d"].label, label)
    notes = filled(dataset, tmp_path).notes
    assert notes[0] == "1 label maps are empty (background only): c"
    assert "outside the image's foreground box" in notes[1]
    assert notes[1].endswith("d (3)")


def _fill(root):
    filled(MadeDataset(root / "data", 8, unlabeled=2), root)


def test_two_processes_may_fill_at_once(dataset, tmp_path):
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_fill, args=(tmp_path,)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    dataset.read.clear()
    filled(dataset, tmp_path)
    assert dataset.read == []
    assert not list((tmp_path / "store").rglob(".tmp-*"))


def test_the_second_writer_of_an_entry_gives_way(tmp_path):
    entries = Entries(tmp_path)
    entries.write("ab", np.arange(3), {"who": 1})
    entries.write("ab", np.arange(3), {"who": 2})
    assert entries.read("ab") == {"who": 1}
    assert sorted(path.name for path in entries.path("ab").iterdir()) == [ARRAY, RECORD]
    assert len(list(entries.path("ab").parent.iterdir())) == 1


def test_a_failing_writer_leaves_nothing(tmp_path):
    entries = Entries(tmp_path)
    with pytest.raises(TypeError):
        entries.write("ab", np.arange(3), {"not JSON": object()})
    assert entries.read("ab") is None
    assert list((tmp_path / "ab").iterdir()) == []


def test_what_killed_writers_left_is_swept_a_day_later(tmp_path):
    entries = Entries(tmp_path)
    young, old = (tmp_path / "ab" / name for name in (".tmp-young", ".tmp-old"))
    for folder in (young, old):
        folder.mkdir(parents=True)
    touch_old(old)
    entries.sweep()
    assert (young.exists(), old.exists()) == (True, False)


def test_digests_are_remembered_but_for_files_that_have_just_changed(monkeypatch, tmp_path):
    digests, path = Digests(tmp_path / "digests"), tmp_path / "file"
    path.write_bytes(b"one")
    touch_old(path)  # the time of modification alone does not say that it has settled
    first = digests.of(path)
    assert not digests.folder.exists()
    path.write_bytes(b"two")
    assert digests.of(path) != first
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now + 3_000_000_000)
    second = digests.of(path)
    (note,) = digests.folder.glob("??/*")
    note.write_text("f" * 64)
    assert digests.of(path) == "f" * 64  # the note is believed
    for damaged in (b"half", bytes(64), b"\xff" * 64):  # after a power failure, say
        note.write_bytes(damaged)
        assert digests.of(path) == second
        assert note.read_text() == second


@pytest.mark.parametrize("way", ["written in place", "moved in"])
def test_other_content_of_the_same_size_and_time_is_seen(monkeypatch, tmp_path, way):
    """As after ``rsync -t``, ``cp -p`` and ``tar``, which set the time of modification back."""
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now + 3_000_000_000)
    digests, path, copy = Digests(tmp_path / "digests"), tmp_path / "file", tmp_path / "copy"
    path.write_bytes(b"one")
    copy.write_bytes(b"two")
    for file in (path, copy):
        touch_old(file)
    first = digests.of(path)
    time.sleep(0.02)  # longer than a tick of the file system's clock
    if way == "moved in":
        copy.rename(path)
    else:
        path.write_bytes(b"two")
        touch_old(path)
    assert digests.of(path) == hashlib.sha256(b"two").hexdigest() != first


def test_files_that_changed_since_they_were_last_read_are_named(dataset, tmp_path, monkeypatch):
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now + 3_000_000_000)
    assert not [note for note in filled(dataset, tmp_path).notes if "last read" in note]
    changed = dataset.cases()[2].images[0]
    content = bytearray(changed.read_bytes())
    content[len(content) // 2] ^= 1
    changed.write_bytes(content)
    (note,) = [note for note in filled(dataset, tmp_path).notes if "last read" in note]
    told = "1 file changed since last read and is read again: "
    assert note == f"{told}{changed}; if you did not change it, it is damaged"
    assert not [note for note in filled(dataset, tmp_path).notes if "last read" in note]


def test_where_the_store_is(monkeypatch, tmp_path, dataset):
    monkeypatch.setenv("SEMISEG_CACHE", str(tmp_path / "cache"))
    assert default_root() == tmp_path / "cache" / "store"
    made = make_split(dataset.cases(), SPLIT, 0)
    assert CaseStore(dataset, schema.Preprocessing(store=tmp_path / "mine"), made).root == tmp_path / "mine"
    monkeypatch.delenv("SEMISEG_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert CaseStore(dataset, OPTIONS, made).root == tmp_path / ".cache" / "semiseg" / "store"


def test_records_are_json(dataset, tmp_path):
    stored = filled(dataset, tmp_path).image("c")
    record = json.loads(stored.image_file.with_name(RECORD).read_text())
    assert record["record"]["box"] == [[2, 18], [3, 15], [1, 14]]
