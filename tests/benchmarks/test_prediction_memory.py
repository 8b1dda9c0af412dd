"""Memory to predict a large volume with 14 classes: slab by slab, and at once as MONAI's inferer does it.

Run with ``pytest tests/benchmarks/test_prediction_memory.py --benchmark-enable -s``: 512 x 512 x 160 voxels, whose
probabilities are 2.2 GiB; else 96 x 96 x 192. The network is one convolution, so that what is counted is the
prediction's: this process's peak less what it had before, in a process of its own. That the labels are equal and slabs
take less is asserted.
"""

import hashlib
import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from resident_memory import RESET, memory, reset_peak
from torch import nn

from semiseg.inference.image import Ensemble, Limit, Member
from semiseg.inference.sliding_window import Predictor
from semiseg.recipe import schema
from semiseg.registry import load
from semiseg.types import Geometry, Volume

SMALL, LARGE = (32, 96, 96, 192), (64, 512, 512, 160)
"""Side of a window, and the volume's shape."""
CLASSES = 14
LIMITS = {"slabs": Limit(0), "at once": Limit(2**50)}
"""Bytes that prediction may take: with none it takes as little as it can."""


@pytest.mark.skipif(not RESET.exists(), reason="needs Linux's high-water mark of memory")
def test_slabs_take_less_memory_for_the_same_labels(request, capsys):
    side, *shape = LARGE if request.config.getoption("--benchmark-enable") else SMALL
    # Freed arrays are given back at once, and so do not hide what is used.
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": str(2**20), "MALLOC_TRIM_THRESHOLD_": "0"}
    found = {}
    for way in LIMITS:
        command = [sys.executable, __file__, way, *map(str, (side, *shape))]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        found[way] = json.loads(done.stdout)
    probabilities = 4 * CLASSES * np.prod(shape) / 2**20
    with capsys.disabled():
        print(f"\n{' x '.join(map(str, shape))} voxels, {CLASSES} classes: probabilities {probabilities:.0f} MiB")
        for way, one in found.items():
            print(f"{way}: {one['MiB']:.0f} MiB, {one['seconds']:.1f} s of the processor")
    assert found["slabs"]["labels"] == found["at once"]["labels"]
    assert found["at once"]["MiB"] > probabilities
    assert found["slabs"]["MiB"] < 0.7 * probabilities


def predict(way, side, *shape):
    """Memory above what there was before, seconds, and the digest of the labels."""
    torch.manual_seed(0)
    cls = load("strategy", "supervised")
    strategy = cls(cls.Options(), {"model": nn.Conv3d(1, CLASSES, 3, padding=1)})
    options = schema.Inference(overlap=0.25)
    member = Member(Predictor(strategy, (side,) * 3, options, "cpu"), schema.Preprocessing(foreground="all"))

    def labels_of(size):
        array = np.random.default_rng(0).integers(1, 900, (1, *size)).astype(np.int16)
        return Ensemble([member], CLASSES, LIMITS[way]).predict(Volume(array, Geometry(size, np.eye(4))))

    labels_of((side,) * 3)  # imports
    before = memory("VmRSS")
    reset_peak()
    started = time.process_time()
    labels = labels_of(shape)
    seconds = time.process_time() - started
    digest = hashlib.sha256(labels.tobytes()).hexdigest()
    return {"MiB": (memory("VmHWM") - before) / 2**20, "seconds": seconds, "labels": digest}


if __name__ == "__main__":
    print(json.dumps(predict(sys.argv[1], *map(int, sys.argv[2:]))))
