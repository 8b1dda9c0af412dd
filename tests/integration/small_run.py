"""A recipe that trains in seconds: six tiny made heads, a small network, a few steps."""

import os
import subprocess
import sys

SMALL = {
    "name": "small",
    "seed": 3,
    "dataset": {"name": "phantom", "cases": 6, "size": [32, 32, 32]},
    "split": {"test": 1, "validation": 1, "labeled": 2, "total": 4},
    "augmentation": {"name": "paper"},
    "backbone": {"name": "unet", "channels": [4, 8], "strides": [2], "num_res_units": 0, "dropout": 0.1},
    "strategy": {"name": "cps", "wait_share": 0.3},
    "training": {
        "epochs": 3,
        "examples_per_epoch": 8,
        "patch_size": [16, 16, 16],
        "batch_size": {"labeled": 1, "unlabeled": 1},
        "checkpoint": {"minutes": 0},
        "workers": 0,
    },
    "inference": {"overlap": 0.0},
}


def semiseg(*arguments, check=True, **environment):
    """Run the command line in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "semiseg.cli.main", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
    assert not check or done.returncode == 0, done.stderr[-3000:]
    return done
