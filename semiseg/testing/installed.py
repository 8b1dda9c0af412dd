"""The contract suites on one installed component: what ``semiseg plugins check`` runs.

The fixture ``subject`` comes from the caller (semiseg.pipeline.contract); without it there is nothing to test here.
"""

from collections.abc import Mapping
from typing import Any

import pytest
import torch

from semiseg.interfaces.augmentation import Augmentation
from semiseg.interfaces.backbone import Backbone
from semiseg.interfaces.dataset import Dataset
from semiseg.interfaces.metric import Metric
from semiseg.interfaces.strategy import Strategy
from semiseg.pipeline.contract import SMALL_UNET, Subject
from semiseg.registry import create
from semiseg.testing.augmentation import AugmentationContract
from semiseg.testing.backbone import BackboneContract
from semiseg.testing.dataset import DatasetContract
from semiseg.testing.metric import MetricContract
from semiseg.testing.strategy import CLASSES, SIZE, StrategyContract
from semiseg.types import Task


class _Declared:
    """What a contract's subclass would say of its component."""

    @pytest.fixture(autouse=True)
    def _declare(self, subject: Subject) -> None:
        for name in subject.declared:
            setattr(self, name, True)


class TestAugmentation(_Declared, AugmentationContract):
    """An installed augmentation."""

    @pytest.fixture
    def augmentation(self, subject: Subject) -> Augmentation:
        """The one under test."""
        augmentation: Augmentation = subject.make()
        return augmentation


class TestBackbone(BackboneContract):
    """An installed backbone."""

    @pytest.fixture
    def backbone(self, subject: Subject) -> Backbone:
        """The one under test."""
        backbone: Backbone = subject.make()
        return backbone


class TestDataset(DatasetContract):
    """An installed dataset."""

    @pytest.fixture
    def dataset(self, subject: Subject, monkeypatch: pytest.MonkeyPatch) -> Dataset:
        """The one under test."""
        monkeypatch.setattr(self, "name", subject.entry.name, raising=False)
        dataset: Dataset = subject.make()
        return dataset


class TestMetric(_Declared, MetricContract):
    """An installed metric."""

    @pytest.fixture
    def metric(self, subject: Subject) -> Metric:
        """The one under test."""
        metric: Metric = subject.make()
        return metric


class TestStrategy(StrategyContract):
    """An installed strategy, with a small unet a role."""

    @pytest.fixture
    def strategy_class(self, subject: Subject) -> type[Strategy]:
        """The one under test."""
        cls: type[Strategy] = subject.cls
        return cls

    @pytest.fixture
    def options(self, subject: Subject) -> Mapping[str, Any]:
        """Its options."""
        return subject.values

    @staticmethod
    def make(strategy_class: type[Strategy], options: Mapping[str, Any]) -> Strategy:
        """Build a strategy from fixed seeds."""
        chosen = strategy_class.Options.model_validate(options)
        task = Task(2, tuple(f"class {index}" for index in range(CLASSES)), SIZE)
        networks = {}
        for seed, role in enumerate(strategy_class.roles(chosen)):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                networks[role.name] = create("backbone", "unet", SMALL_UNET).build(task).requires_grad_(role.trained)
        for role in strategy_class.roles(chosen):
            if role.initialized_like is not None:
                networks[role.name].load_state_dict(networks[role.initialized_like].state_dict())
        return strategy_class(chosen, networks)
