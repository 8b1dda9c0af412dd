"""Contract suites for one installed component, as run by ``semiseg plugins check``.

The caller (semiseg.testing.run_suite) provides the fixture ``subject``; without it there is nothing to test here.
"""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from torch import Tensor, nn

from semiseg.interfaces.acquisition import Acquisition
from semiseg.interfaces.augmentation import Augmentation
from semiseg.interfaces.backbone import Backbone
from semiseg.interfaces.dataset import Dataset
from semiseg.interfaces.launcher import Launcher
from semiseg.interfaces.metric import Metric
from semiseg.interfaces.observer import Observer
from semiseg.interfaces.split import Upsampling
from semiseg.interfaces.strategy import Strategy
from semiseg.registry import create
from semiseg.testing.acquisition import AcquisitionContract
from semiseg.testing.augmentation import AugmentationContract
from semiseg.testing.backbone import BackboneContract
from semiseg.testing.dataset import DatasetContract
from semiseg.testing.launcher import LauncherContract
from semiseg.testing.metric import MetricContract
from semiseg.testing.observer import ObserverContract
from semiseg.testing.run_suite import SMALL_UNET, Subject
from semiseg.testing.strategy import StrategyContract
from semiseg.testing.tiny import EMPTY_BATCH
from semiseg.types import Task


class _Declared:
    """Declarations that a subclass of the contract would contain."""

    @pytest.fixture(autouse=True)
    def _declare(self, subject: Subject) -> None:
        for name, value in subject.declared.items():
            setattr(self, name, value)


class TestAcquisition(_Declared, AcquisitionContract):
    """An installed rule that ranks cases."""

    @pytest.fixture
    def acquisition(self, subject: Subject) -> Acquisition:
        """Return the rule under test."""
        acquisition: Acquisition = subject.make()
        return acquisition


class TestAugmentation(_Declared, AugmentationContract):
    """An installed augmentation."""

    @pytest.fixture
    def augmentation(self, subject: Subject) -> Augmentation:
        """Return the augmentation under test."""
        augmentation: Augmentation = subject.make()
        return augmentation


class TestBackbone(_Declared, BackboneContract):
    """An installed backbone."""

    @pytest.fixture
    def backbone(self, subject: Subject) -> Backbone:
        """Return the backbone under test."""
        backbone: Backbone = subject.make()
        return backbone


class TestDataset(DatasetContract):
    """An installed dataset."""

    @pytest.fixture
    def dataset(self, subject: Subject, monkeypatch: pytest.MonkeyPatch) -> Dataset:
        """Return the dataset under test."""
        monkeypatch.setattr(self, "name", subject.entry.name, raising=False)
        dataset: Dataset = subject.make()
        return dataset


class TestLauncher(LauncherContract):
    """An installed launcher."""

    @pytest.fixture
    def launcher_class(self, subject: Subject) -> type[Launcher]:
        """Return the launcher under test."""
        cls: type[Launcher] = subject.cls
        return cls

    @pytest.fixture
    def options(self, subject: Subject) -> Mapping[str, Any]:
        """Return its options."""
        return subject.values


class TestMetric(_Declared, MetricContract):
    """An installed metric."""

    @pytest.fixture
    def metric(self, subject: Subject) -> Metric:
        """Return the metric under test."""
        metric: Metric = subject.make()
        return metric


class TestObserver(_Declared, ObserverContract):
    """An installed observer."""

    @pytest.fixture
    def observer(self, subject: Subject) -> Callable[[], Observer]:
        """Return a function that makes the observer under test."""
        return subject.make


class TestStrategy(_Declared, StrategyContract):
    """An installed strategy, with a small unet for each role."""

    @pytest.fixture
    def strategy_class(self, subject: Subject) -> type[Strategy]:
        """Return the strategy under test."""
        cls: type[Strategy] = subject.cls
        return cls

    @pytest.fixture
    def options(self, subject: Subject) -> Mapping[str, Any]:
        """Return its options."""
        return subject.values

    @staticmethod
    def backbone() -> Backbone:
        """Return a small unet that refuses empty batches, since a network need not accept them."""
        return _WithoutEmptyBatches(create("backbone", "unet", SMALL_UNET))


class _WithoutEmptyBatches(Backbone):
    """A backbone whose networks refuse empty batches, as those of the suite in a package's own tests."""

    def __init__(self, inner: Backbone) -> None:
        super().__init__(inner.options)
        self._inner = inner
        self.capabilities = inner.capabilities  # type: ignore[misc]

    def build(self, task: Task) -> nn.Module:
        """Return the backbone's network."""
        network = self._inner.build(task)
        network.register_forward_pre_hook(_require_samples)
        return network

    def with_upsampling(self, mode: Upsampling) -> Backbone:
        """Return the same with another upsampling."""
        return _WithoutEmptyBatches(self._inner.with_upsampling(mode))


def _require_samples(network: nn.Module, images: tuple[Tensor, ...]) -> None:
    if not len(images[0]):
        raise ValueError(EMPTY_BATCH)
