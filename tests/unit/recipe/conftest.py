import pytest

FAKES = '''
    from pathlib import Path
    from typing import Literal
    from semiseg.interfaces.augmentation import Augmentation
    from semiseg.interfaces.component import ComponentOptions
    from semiseg.interfaces.dataset import Dataset

    class Shelf(Dataset):
        """Scans on a shelf."""

        class Options(ComponentOptions):
            """Where the shelf is."""

            root: Path
            """Folder of the shelf."""
            label_map: dict[int, int] = {4: 3}
            """Class index by stored value."""
            note: str = ""
            """A remark."""
            cache: Path | Literal["none"] | None = None
            """Folder for copies."""

        def info(self): ...
        def cases(self): ...
        def new_cases(self, paths): ...
        def read_image(self, case): ...
        def read_label(self, case): ...
        def read_geometry(self, case): ...

    class Mirror(Augmentation):
        """Mirrors."""

        class Options(ComponentOptions):
            axes: tuple[int, ...] = (0,)
            """Axes."""

        def __call__(self, image, label, patch_size): ...
'''

MINIMAL = """\
name: tiny
dataset:
  name: shelf
  root: /data
split:
  test: 2
  labeled: 4
augmentation: mirror
backbone: unet
strategy:
  name: cps
  phi: 0.25
  wait_share: 0.1
training:
  epochs: 3
"""


@pytest.fixture(autouse=True)
def fakes(distribution):
    """A dataset and an augmentation of another distribution."""
    groups = {"semiseg.datasets": {"shelf": "fakes:Shelf"}, "semiseg.augmentations": {"mirror": "fakes:Mirror"}}
    return distribution("semiseg-fakes", groups, fakes=FAKES)


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes x.yaml in the current folder, which is a temporary one."""
    monkeypatch.chdir(tmp_path)

    def write_recipe(text):
        (tmp_path / "x.yaml").write_text(text, encoding="utf-8")
        return "x.yaml"

    return write_recipe


@pytest.fixture
def minimal(write):
    """A small valid recipe, as a file."""
    return write(MINIMAL)


@pytest.fixture
def edited(write):
    """The small recipe with one text replaced, which has to be in it once."""

    def edit(old, new):
        assert MINIMAL.count(old) == 1
        return write(MINIMAL.replace(old, new))

    return edit
