"""A trainer on the tiny task, in a run folder of its own."""

import pytest
from tiny_trainer import tiny_trainer

from semiseg.engine.runtime import Runtime


@pytest.fixture
def make_trainer(tmp_path):
    def make(name="run", precision="32", **options):
        return tiny_trainer(tmp_path / name, runtime=Runtime("cpu", precision), **options)

    return make
