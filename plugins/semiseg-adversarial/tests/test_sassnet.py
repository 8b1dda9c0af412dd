import pytest

from semiseg.testing.strategy import StrategyContract
from semiseg_adversarial.sassnet import SASSNet


class TestSASSNet(StrategyContract):
    @pytest.fixture
    def strategy_class(self):
        return SASSNet

    @pytest.fixture(params=[{"critic_channels": 4}])
    def options(self, request):
        return request.param
