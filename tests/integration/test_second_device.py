"""Everything that trains and predicts, on a device that is not the CPU."""

from pathlib import Path

import pytest
import torch.utils.backend_registration
from helpers_suite import run_suite_forked


@pytest.mark.skipif(
    not hasattr(torch.utils.backend_registration, "_setup_privateuseone_for_python_backend"),
    reason="this torch has no devices written in Python",
)
@pytest.mark.parametrize(
    "which",
    [
        "strategy and joint",
        "strategy and not joint",
        "not strategy and not stopped",
        "stopped and workers",
        "stopped and not workers",
    ],
)
def test_training_and_prediction_on_a_second_device(which):
    run_suite_forked(Path(__file__).with_name("on_a_second_device.py"), "-k", which)
