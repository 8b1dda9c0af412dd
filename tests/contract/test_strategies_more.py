import pytest

from semiseg.strategies.cross_teaching import CrossTeaching
from semiseg.strategies.dhc import DHC
from semiseg.strategies.entropy_minimization import EntropyMinimization
from semiseg.strategies.fixmatch import FixMatch
from semiseg.strategies.pi_model import PiModel
from semiseg.strategies.pseudo_label import PseudoLabel
from semiseg.strategies.self_training import SelfTraining
from semiseg.strategies.unimatch import UniMatch
from semiseg.testing.strategy import StrategyContract


class TestEntropyMinimization(StrategyContract):
    @pytest.fixture
    def strategy_class(self):
        return EntropyMinimization

    @pytest.fixture(
        params=[{}, {"entropy_on": "unlabeled", "ramp": "constant", "loss": "dice_ce", "deep_supervision": True}]
    )
    def options(self, request):
        return request.param


class TestPseudoLabel(StrategyContract):
    @pytest.fixture
    def strategy_class(self):
        return PseudoLabel

    @pytest.fixture(
        params=[
            {"threshold": 0.4},
            {"threshold": 0.0, "wait_share": 0.2, "pseudo_loss": "dice", "deep_supervision": True},
            {"threshold": 0.0, "labels_from": "teacher", "labels": "soft", "cutmix": 0.8, "ramp": "constant"},
        ],
        ids=["paper", "dice", "teacher"],
    )
    def options(self, request):
        return request.param


class TestCrossTeaching(StrategyContract):
    @pytest.fixture
    def strategy_class(self):
        return CrossTeaching

    @pytest.fixture(params=[{"loss": "dice"}, {"loss": "dice_ce", "deep_supervision": True}], ids=["dice", "deep"])
    def options(self, request):
        return request.param


class TestDHC(StrategyContract):
    @pytest.fixture
    def strategy_class(self):
        return DHC

    @pytest.fixture(
        params=[
            {},
            {"weight": 1, "ramp": "step", "ramp_share": 0.2, "decay": 0.6, "floor": 0.2, "loss": "cross_entropy"},
            {"ramp": "constant", "ramp_share": 0, "loss": "dice", "weak_view": "geometry"},
        ],
        ids=["paper", "wait", "dice"],
    )
    def options(self, request):
        return request.param


class TestPiModel(StrategyContract):
    @pytest.fixture
    def strategy_class(self):
        return PiModel

    @pytest.fixture(
        params=[
            {},
            {"consistency_on": "labeled_and_unlabeled", "gradient": "both", "flips": False, "deep_supervision": True},
        ]
    )
    def options(self, request):
        return request.param


class TestFixMatch(StrategyContract):
    @pytest.fixture
    def strategy_class(self):
        return FixMatch

    @pytest.fixture(
        params=[
            {"threshold": 0.4},
            {"threshold": 0.4, "pseudo_loss": "dice", "cut_out": 0.0},
            {
                "labels_from": "teacher",
                "threshold": 0.0,
                "pseudo_loss": "dice_ce",
                "ramp": "sigmoid",
                "deep_supervision": True,
            },
            {
                "labels_from": "teacher",
                "teacher_mode": "eval",
                "buffers": "ema",
                "threshold": 0.4,
                "wait_share": 0.2,
                "cutmix": 0.8,
            },
        ],
        ids=["paper", "dice", "teacher", "cutmix"],
    )
    def options(self, request):
        return request.param


class TestUniMatch(StrategyContract):
    @pytest.fixture
    def strategy_class(self):
        return UniMatch

    @pytest.fixture(
        params=[
            {"threshold": 0.4},
            {
                "threshold": 0.4,
                "rates": [0.25, 0.75],
                "labels_from": "teacher",
                "pseudo_loss": "dice_ce",
                "cutmix": 0.0,
            },
            {
                "threshold": 0.4,
                "feature_dropout": "complementary",
                "labels_from": "teacher",
                "teacher_mode": "eval",
                "buffers": "ema",
                "pseudo_loss": "cross_entropy",
                "wait_share": 0.2,
            },
            {"threshold": 0.4, "feature_dropout": "none", "labels": "soft", "pseudo_loss": "cross_entropy"},
        ],
        ids=["paper", "crossmatch", "v2", "none"],
    )
    def options(self, request):
        return request.param


class TestSelfTraining(StrategyContract):
    @pytest.fixture
    def strategy_class(self):
        return SelfTraining

    @pytest.fixture(
        params=[
            {},
            {"reliable_share": 0.5, "pseudo_loss": "dice_ce", "cut_out": 0.0, "deep_supervision": True},
            {"teacher": "external", "pseudo_loss": "dice_ce"},
        ],
        ids=["st", "st++", "external"],
    )
    def options(self, request):
        return request.param
