"""Contract test suites for authors of components."""

import pkgutil

import pytest

# Makes failing asserts show the compared values, as in a test file.
pytest.register_assert_rewrite(*(f"{__name__}.{module.name}" for module in pkgutil.iter_modules(__path__)))
