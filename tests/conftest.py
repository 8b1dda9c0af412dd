import sys
import textwrap

import pytest


@pytest.fixture
def distribution(tmp_path, monkeypatch):
    """Makes a distribution as pip would install it: modules, and the metadata that entry points are found by."""
    before = set(sys.modules)
    folders = []

    def make(name, entry_points, version="1.0", **modules):
        site = tmp_path / f"site-{name}"
        info = site / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        lines = [
            line
            for group, names in entry_points.items()
            for line in (f"[{group}]", *(f"{key} = {target}" for key, target in names.items()))
        ]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
        for module, source in modules.items():
            path = site.joinpath(*module.split("__")).with_suffix(".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(source))
        monkeypatch.syspath_prepend(site)
        folders.append(str(site))
        return site

    yield make
    for loaded in set(sys.modules) - before:
        if str(getattr(sys.modules[loaded], "__file__", "")).startswith(tuple(folders) or "\0"):
            del sys.modules[loaded]
