import pytest

from semiseg.strategies.cps import CrossPseudoSupervision
from semiseg.strategies.supervised import Supervised
from semiseg.testing.strategy import StrategyContract


class TestSupervised(StrategyContract):
    @pytest.fixture
    def strategy_class(self):
        return Supervised

    @pytest.fixture(params=["dice", "dice_ce", "deep"])
    def options(self, request):
        if request.param == "deep":
            return {"loss": "dice_ce", "deep_supervision": True}
        return {"loss": request.param}


class TestCPS(StrategyContract):
    @pytest.fixture
    def strategy_class(self):
        return CrossPseudoSupervision

    @pytest.fixture(
        params=[
            {},
            {"wait_share": 0.5},
            {"pseudo_on": "unlabeled", "phi": 1.5},
            {"loss": "dice_ce", "deep_supervision": True},
        ],
        ids=["default", "wait_share", "unlabeled", "deep"],
    )
    def options(self, request):
        return request.param


class TestCPSWithAWaitInEpochs(StrategyContract):
    counts_epochs = True

    @pytest.fixture
    def strategy_class(self):
        return CrossPseudoSupervision

    @pytest.fixture
    def options(self):
        return {"wait_epochs": 2, "pseudo_loss": "cross_entropy", "loss": "dice_ce"}
