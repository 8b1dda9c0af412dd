"""Reading a patch from the case store against nibabel and blosc2; the store's size on disk; memory to prepare cases.

Run with ``pytest tests/benchmarks/test_store_speed.py --benchmark-enable -s``: a table of ratios is printed at the end.
Files are in the system's cache (warm), so times are the processor's. The real BraTS cases are used where
SEMISEG_REAL_DATA is set (all of them only with --benchmark-enable), else one made head. Values, sizes and memory are
asserted, times are not.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from resident_memory import RESET, memory, reset_peak

from semiseg.data.case_builder import CaseMaker
from semiseg.data.samples import read_patch
from semiseg.data.split import make_split
from semiseg.data.store import CaseStore
from semiseg.io.orientation import to_ras
from semiseg.recipe import schema
from semiseg.registry import create

ROOT = Path(os.environ.get("SEMISEG_REAL_DATA", "/nonexistent"))
BRATS = sorted(path.name for path in ROOT.glob("brats2018/*"))
PATCH = 128
BLOCKS, CHUNKS = (4, 16, 8, 8), (4, 80, 32, 32)
"""What nnU-Net v2's rule gives for float32 images of four channels and patches of 128 voxels a side."""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("store")


@cache
def prepared(name, root):
    """A case with its entries in a store: the files that it came from, and what the store serves."""
    real = {"root": ROOT / "brats2018"}
    made = {"root": root / "made", "cases": 1, "size": (96, 112, 88)}
    dataset = create("dataset", "brats", real) if name else create("dataset", "phantom", made)
    case = next(case for case in dataset.cases() if name in (case.id, ""))
    maker = CaseMaker(root / "store", dataset, schema.Preprocessing())
    return case, maker.labeled(case, maker.image(case.without_label()))


def middle(stored):
    return tuple((n - p) // 2 for n, p in zip(stored.shape, patch(stored), strict=True))


def patch(stored):
    return tuple(min(PATCH, n) for n in stored.shape)


def window(stored):
    return (slice(None), *(slice(s, s + n) for s, n in zip(middle(stored), patch(stored), strict=True)))


def ours_as_stored(case, stored, root):
    return np.array(stored.raw()[window(stored)])


def ours(case, stored, root):
    return read_patch(stored, middle(stored), patch(stored))


def nibabel_array(case, stored, root):
    return cut_from_file(case, stored, lambda image: np.asarray(image.dataobj))


def nibabel_get_fdata(case, stored, root):
    return cut_from_file(case, stored, lambda image: image.get_fdata())


def cut_from_file(case, stored, read):
    boxes = zip(stored.preparation.box, middle(stored), patch(stored), strict=True)
    box = tuple(slice(first + start, first + start + n) for (first, _), start, n in boxes)
    return np.stack([to_ras(read(nib.load(path)), stored.preparation.geometry)[0][box] for path in case.images])


def blosc2(case, stored, root):
    import blosc2

    file = blosc2.open(urlpath=str(root / f"{case.id}.b2nd"), mode="r", dparams={"nthreads": 1}, mmap_mode="r")
    return file[window(stored)]


def write_blosc2(case, stored, root):
    """As nnU-Net v2 writes a preprocessed image: normalized, float32, zstd at level 8."""
    module = pytest.importorskip("blosc2")
    path = root / f"{case.id}.b2nd"
    if not path.exists():
        image = stored.image()
        chunks = tuple(map(min, CHUNKS, image.shape))
        how = {"codec": module.Codec.ZSTD, "clevel": 8}
        module.asarray(image, urlpath=str(path), chunks=chunks, blocks=BLOCKS, cparams=how, mmap_mode="w+")
    return path


METHODS = {
    "semiseg, as stored": ours_as_stored,
    "semiseg": ours,
    "nibabel": nibabel_array,
    "nibabel get_fdata": nibabel_get_fdata,
    "blosc2": blosc2,
}


@pytest.fixture(scope="module")
def times(request):
    found = {}
    yield found
    if found:
        with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            print("", *table(found), sep="\n")


def table(found):
    """Milliseconds, and ratios to both ways of ours: median over the cases, and the smallest and largest.

    "as stored" is the patch in its stored integers, as nibabel gives it; else it is float32 and normalized.
    """
    yield "| 128^3, 4 modalities | ms | / semiseg, as stored | / semiseg |"
    yield "|---|---|---|---|"
    cases = sorted({case for case, _ in found})
    for method in METHODS:
        done = [case for case in cases if (case, method) in found]
        cells = [spread([found[case, method] * 1e3 for case in done])]
        for own in ("semiseg, as stored", "semiseg"):
            both = [case for case in done if (case, own) in found]
            cells.append(spread([found[case, method] / found[case, own] for case in both]))
        yield f"| {method} (n = {len(done)}) | " + " | ".join(cells) + " |"


def spread(values):
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})" if values else "–"


@pytest.mark.benchmark(timer=time.process_time)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", BRATS or [""])
def test_reading_a_patch(benchmark, name, method, root, times):
    if not benchmark.enabled and name != next(iter(BRATS), ""):
        pytest.skip("one case is enough to see that values agree")
    case, stored = prepared(name, root)
    if method == "blosc2":
        write_blosc2(case, stored, root)
    rounds = 3 if method.startswith("nibabel") else 20
    found = benchmark.pedantic(METHODS[method], (case, stored, root), rounds=rounds, warmup_rounds=1)
    if benchmark.enabled:  # the fastest round: what else runs on the machine only adds
        times[case.id, method] = benchmark.stats.stats.min
    normalized = method in ("semiseg", "blosc2")
    expected = stored.image()[window(stored)] if normalized else stored.raw()[window(stored)]
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == (np.float64 if "fdata" in method else expected.dtype)


@pytest.mark.real_data
@pytest.mark.skipif(not BRATS, reason="SEMISEG_REAL_DATA is not set")
def test_size_on_disk(request, root):
    """Image and label take at most four times the bytes of their .nii.gz files, in every case."""
    everyone = request.config.getoption("--benchmark-enable")
    ratios = {}
    for name in BRATS if everyone else BRATS[:1]:
        case, stored = prepared(name, root)
        entries = (stored.image_file.parent, stored.label_file.parent)
        ours = sum(path.stat().st_size for folder in entries for path in folder.iterdir())
        ratios[name] = ours / sum(path.stat().st_size for path in (*case.images, case.label))
    print({name: round(ratio, 2) for name, ratio in ratios.items()})
    assert 1 < max(ratios.values()) <= 4


SIZE, FEW, MANY = (80, 80, 80), 2, 8
ONE_CASE = 4 * 2 * 80**3 / 2**20
"""MiB of a made case's four modalities as int16."""


@pytest.mark.skipif(not RESET.exists(), reason="needs Linux's high-water mark of memory")
def test_memory_does_not_grow_with_the_number_of_cases(tmp_path):
    """Of four times as many cases, no more are in memory at a time; a process of its own is measured.

    Freed arrays are given back at once there, and so do not hide what is used.
    """
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": str(2**20), "MALLOC_TRIM_THRESHOLD_": "0"}
    command = [sys.executable, __file__, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=300)
    used = json.loads(done.stdout)
    print(used)
    assert (
        used["few"]["MiB"] > ONE_CASE / 2
    )  # the measure sees a case; part of it may lie in pages that are there already
    # Half of what the others would take if they were kept; the peak itself comes out some MiB apart from run to run.
    assert used["many"]["MiB"] < used["few"]["MiB"] + (MANY - FEW) / 2 * ONE_CASE


def fill(dataset, root, n_cases):
    """Memory above what there was before, and seconds, to fill a new store."""
    split = make_split(dataset.cases(), schema.Split(labeled=n_cases, total=n_cases), 0)
    store = CaseStore(dataset, schema.Preprocessing(), split, root)
    before = memory("VmRSS")
    reset_peak()
    started = time.perf_counter()
    store.fill(dataset.cases(), workers=1)
    seconds = time.perf_counter() - started
    return {"MiB": round((memory("VmHWM") - before) / 2**20, 2), "seconds": round(seconds, 2)}


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    heads = create("dataset", "phantom", {"root": folder / "made", "cases": MANY, "size": SIZE})
    fill(heads, folder / "first", 1)  # imports
    print(json.dumps({name: fill(heads, folder / name, n) for name, n in {"few": FEW, "many": MANY}.items()}))
