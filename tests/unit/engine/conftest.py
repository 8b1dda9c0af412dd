"""A trainer on the tiny task, in a run folder of its own."""

import pytest
import torch
from tiny_trainer import tiny_trainer

from semiseg.engine.runtime import Runtime


@pytest.fixture
def make_trainer(tmp_path):
    def make(name="run", precision="32", **options):
        return tiny_trainer(tmp_path / name, runtime=Runtime("cpu", precision), **options)

    return make


@pytest.fixture
def one_thread():
    """What is to be equal bit for bit to processes with one thread each needs one thread too."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
