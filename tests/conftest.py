import os
import sys
import textwrap
from pathlib import Path

import helpers_processes
import pytest

# Tests are of what the CPU does, to the last bit, unless they are told to use a GPU; benchmarks take one where it is.
if not os.environ.get("SEMISEG_TEST_GPU") and "--benchmark-enable" not in sys.argv:
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
# Both have to be said before torch is imported. Workers share the cores: a thread each.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
HERE = Path(__file__).parent
MOST_WORKERS = 16
"""Each imports torch by itself: more of them take longer to start than they save."""


def pytest_sessionstart():
    if "PYTEST_XDIST_WORKER" in os.environ:
        helpers_processes.prepare(at_once=True)


@pytest.hookimpl(tryfirst=True, optionalhook=True)  # `semiseg plugins check` runs pytest without plugins
def pytest_xdist_auto_num_workers(config):
    """A worker a core for the whole suite; none for single files, which are sooner done, and for benchmarks."""
    if config.args_source is not pytest.Config.ArgsSource.TESTPATHS or config.getoption("benchmark_enable"):
        return 0
    return min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(), MOST_WORKERS)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark whole programs, benchmarks, and what all strategies do in two processes as slow."""
    for item in items:
        folder = item.path.relative_to(HERE).parts[0] if item.path.is_relative_to(HERE) else ""
        if folder in ("integration", "benchmarks") or item.name.startswith("test_two_processes"):
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def distribution(tmp_path, monkeypatch):
    """Makes a distribution as pip would install it: modules, and the metadata that entry points are found by."""
    before = set(sys.modules)
    folders = []

    def make(name, entry_points, version="1.0", files=None, requires=("semiseg>=0.2",), **modules):
        site = tmp_path / f"site-{name}"
        info = site / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        needs = "".join(f"Requires-Dist: {requirement}\n" for requirement in requires)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}")
        lines = []
        for group, names in entry_points.items():
            lines += [f"[{group}]", *(f"{key} = {target}" for key, target in names.items())]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
        sources = {f"{module}.py": text for module, text in modules.items()} | (files or {})
        for path, text in sources.items():
            (site / path).parent.mkdir(parents=True, exist_ok=True)
            (site / path).write_text(textwrap.dedent(text))
        monkeypatch.syspath_prepend(site)
        folders.append(str(site))
        return site

    yield make
    for loaded in set(sys.modules) - before:
        if str(getattr(sys.modules[loaded], "__file__", None)).startswith(tuple(folders)):
            del sys.modules[loaded]
