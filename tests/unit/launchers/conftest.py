import pytest

from semiseg.testing.launcher import make_job


@pytest.fixture
def job(tmp_path):
    """A job whose command is a Python text, in place of ``semiseg run``."""

    def make(code, name="m"):
        return make_job(tmp_path, code, name)

    return make
