import os
import sys
import textwrap

import pytest

# Tests are of what the CPU does, to the last bit, unless they are told to use a GPU; benchmarks take one where it is.
if not os.environ.get("SEMISEG_TEST_GPU") and "--benchmark-enable" not in sys.argv:
    os.environ["CUDA_VISIBLE_DEVICES"] = ""


@pytest.fixture
def distribution(tmp_path, monkeypatch):
    """Makes a distribution as pip would install it: modules, and the metadata that entry points are found by."""
    before = set(sys.modules)
    folders = []

    def make(name, entry_points, version="1.0", files=None, **modules):
        site = tmp_path / f"site-{name}"
        info = site / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
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
