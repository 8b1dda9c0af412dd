"""Contract suites for the authors of components."""

import pkgutil

import pytest

# Failing asserts then say which values they compared, as they do in a test file.
pytest.register_assert_rewrite(*(f"{__name__}.{module.name}" for module in pkgutil.iter_modules(__path__)))
