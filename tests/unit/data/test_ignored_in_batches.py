"""Ignored voxels from a label file to a batch: read, stored, cut, augmented, and passed to losses as IGNORE."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from made_dataset import SHAPE, MadeDataset

from semiseg.augmentation.fused import FusedAugmentation
from semiseg.augmentation.luque2023 import Luque2023Augmentation
from semiseg.augmentation.none import NoAugmentation
from semiseg.data.batches import TrainingBatches
from semiseg.data.digests import Digests
from semiseg.data.draws import Draws
from semiseg.data.fingerprint import describe_reader
from semiseg.data.split import make_split
from semiseg.data.store import CaseStore
from semiseg.data.verify import verify_cases
from semiseg.datasets.folder import Folder
from semiseg.interfaces.strategy import BatchNeeds, Target
from semiseg.recipe import schema
from semiseg.types import IGNORE, IGNORED

PATCH = (12, 8, 8)


class Scribbled(MadeDataset):
    """MadeDataset in which every third plane is labeled, and one voxel far from the ball; all others are ignored."""

    ignore = 255

    def info(self):
        return replace(super().info(), ignore=self.ignore)

    def read_label(self, case):
        label = super().read_label(case)
        known = np.zeros(SHAPE, bool)
        known[::3] = True
        known[17, 14, 13] = True
        array = np.where(known, label.array, np.uint8(IGNORED))
        return replace(label, array=array)


def stored(dataset, root):
    split = make_split(dataset.cases(), schema.Split(labeled=2, validation=1), 0)
    store = CaseStore(dataset, schema.Preprocessing(), split, root / "store")
    notes = store.fill(dataset.cases())
    return [store.labeled(case.id) for case in split.labeled], [store.image(c.id) for c in split.unlabeled], notes


@pytest.fixture(scope="module")
def scribbled(tmp_path_factory):
    root = tmp_path_factory.mktemp("scribbled")
    return Scribbled(root / "data", 6), *stored(Scribbled(root / "data", 6), root)


def test_the_store_holds_ignored_voxels_and_counts_them_as_nothing(scribbled):
    dataset, labeled, _, notes = scribbled
    for entry in labeled:
        case = next(case for case in dataset.cases() if case.id == entry.case_id)
        array = dataset.read_label(case).array
        cut, n_outside = entry.preparation.cut_label(array, has_ignored=True)
        np.testing.assert_array_equal(entry.label(), cut)
        assert (entry.label() == IGNORED).any()
        assert entry.n_foreground == (cut == 1).sum()
        assert entry.n_outside == n_outside == (array == 1).sum() - (cut == 1).sum()
        assert entry.n_known == (cut != IGNORED).sum()
    assert not [note for note in notes if "outside" in note or "ignored" in note]


def test_the_value_is_part_of_an_entry_s_key(tmp_path):
    def files(dataset):
        labeled, _, _ = stored(dataset, tmp_path)
        return [(entry.label_file, entry.image_file) for entry in labeled]

    other = type("Scribbled", (Scribbled,), {"ignore": 7, "__module__": Scribbled.__module__})
    first, second = files(Scribbled(tmp_path / "data", 3)), files(other(tmp_path / "data", 3))
    assert not {label for label, _ in first} & {label for label, _ in second}
    assert files(Scribbled(tmp_path / "data", 3)) == first


def test_without_the_value_the_reader_is_described_as_in_earlier_versions(tmp_path):
    def described(**options):
        reader = Folder(Folder.Options(root=tmp_path, classes={"a": 1}, **options))
        return describe_reader(reader, Digests(tmp_path / "digests"))[1]

    assert "ignore" not in described()
    assert described(ignore=4) == {**described(), "ignore": 4}
    assert "ignore" not in Folder.Options(root=tmp_path, classes={"a": 1}).model_dump()


def test_a_case_without_known_voxels_is_noted(tmp_path):
    class Unknown(Scribbled):
        def read_label(self, case):
            label = super().read_label(case)
            return replace(label, array=np.full_like(label.array, IGNORED))

    labeled, _, notes = stored(Unknown(tmp_path / "data", 4), tmp_path)
    assert [entry.n_known for entry in labeled] == [0, 0]
    where = "only ignored voxels within the image's foreground box"
    assert notes[0].startswith(f"2 labels have {where}, so that no supervised loss uses these cases: ")
    assert notes[1].startswith(f"1 label has {where}, so that validation leaves out these cases: ")
    assert len(notes) == 2


def test_the_value_is_an_unknown_class_unless_it_is_to_be_ignored(tmp_path):
    class Undeclared(Scribbled):
        ignore = None

    dataset = Undeclared(tmp_path / "data", 3)
    problems = verify_cases(dataset, dataset.cases())
    assert [problem.what for problem in problems] == ["the label has class 255, beyond background, ball"] * 3
    dataset = Scribbled(tmp_path / "data", 3)
    assert verify_cases(dataset, dataset.cases()) == []


def ignored_share(labels, n_classes):
    """Return the labels in one channel, as a target that shows what its function was given."""
    return labels[:, None].float()


def batches(scribbled, augmentation, workers=0, **more):
    _, labeled, unlabeled, _ = scribbled
    size = Draws.same(labeled=3, unlabeled=1)
    needs = BatchNeeds(targets=(Target("labels", ignored_share),))
    return TrainingBatches(labeled, unlabeled, augmentation, PATCH, size, 1, workers, needs=needs, n_classes=2, **more)


def finished(made, steps=range(3)):
    return [made.finish(batch, step) for step, batch in zip(steps, made.steps(steps.start, steps.stop), strict=True)]


@pytest.mark.parametrize("augmentation", [NoAugmentation, Luque2023Augmentation, FusedAugmentation])
def test_losses_get_ignore_where_the_label_is_ignored_and_the_same_values_elsewhere(scribbled, augmentation):
    found = finished(batches(scribbled, augmentation(), has_ignored=True))
    raw = finished(batches(scribbled, augmentation()))  # as for a dataset that ignores nothing
    for batch, plain in zip(found, raw, strict=True):
        labels = batch.labeled.label
        assert batch.labeled.has_ignored
        assert not plain.labeled.has_ignored
        assert set(labels.unique().tolist()) <= {IGNORE, 0, 1}
        assert torch.equal(labels, torch.where(plain.labeled.label == IGNORED, IGNORE, plain.labeled.label))
        assert torch.equal(batch.labeled.image, plain.labeled.image)
        assert torch.equal(batch.labeled.targets["labels"][:, 0], labels.float())
    assert any((batch.labeled.label == IGNORE).any() for batch in found)


def test_augmentation_on_the_device_gives_the_same_ignored_voxels(scribbled):
    still = FusedAugmentation(FusedAugmentation.Options(probability=0.0, probabilities={"flipping": 0.5}))
    for one, two in zip(
        finished(batches(scribbled, still, has_ignored=True)),
        finished(batches(scribbled, still, has_ignored=True, deferred=True)),
        strict=True,
    ):
        assert torch.equal(one.labeled.label, two.labeled.label)
        assert torch.equal(one.labeled.targets["labels"], two.labeled.targets["labels"])
        assert two.labeled.has_ignored


@pytest.mark.slow
def test_workers_give_the_same_ignored_voxels(scribbled):
    for one, two in zip(
        finished(batches(scribbled, FusedAugmentation(), has_ignored=True)),
        finished(batches(scribbled, FusedAugmentation(), workers=1, has_ignored=True)),
        strict=True,
    ):
        assert torch.equal(one.labeled.label, two.labeled.label)
        assert two.labeled.has_ignored


def test_a_part_of_a_batch_knows_of_ignored_voxels(scribbled):
    (batch,) = finished(batches(scribbled, NoAugmentation(), has_ignored=True), range(1))
    assert batch.part(slice(0, 1), slice(0, 0)).labeled.has_ignored
    assert batch.apply(torch.clone).labeled.has_ignored
