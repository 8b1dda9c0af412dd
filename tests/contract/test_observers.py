"""The built-in observers pass the suite that their authors use."""

import pytest

from semiseg.registry import create
from semiseg.testing.observer import ObserverContract


class TestTensorBoard(ObserverContract):
    @pytest.fixture
    def observer(self):
        return lambda: create("observer", "tensorboard")
