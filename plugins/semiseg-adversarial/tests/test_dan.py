import pytest

from semiseg.testing.strategy import StrategyContract
from semiseg_adversarial.dan import DAN


class TestDAN(StrategyContract):
    @pytest.fixture
    def strategy_class(self):
        return DAN

    @pytest.fixture(params=[{"critic_channels": 4}])
    def options(self, request):
        return request.param
