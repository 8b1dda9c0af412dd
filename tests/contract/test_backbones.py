import pytest
from torch import nn

from semiseg.backbones.basic_unet import BasicUNet
from semiseg.backbones.unet import UNet
from semiseg.backbones.unetr import UNETR
from semiseg.backbones.vnet import VNet
from semiseg.backbones.vnet_la import VNetLA
from semiseg.interfaces.backbone import Backbone
from semiseg.interfaces.component import ComponentOptions
from semiseg.interfaces.split import Level
from semiseg.testing.backbone import BackboneContract
from semiseg.testing.capabilities import CapabilityTests
from semiseg.testing.tiny import TinyBackbone, TinyNetwork
from semiseg.types import Task

TASK = Task(2, ("background", "a", "b"), (8, 16, 8))


class TestUNet(BackboneContract):
    @pytest.fixture(
        params=[
            {},
            {"norm": "batch"},
            {"channels": (4, 8, 16), "strides": (2, 2), "num_res_units": 0},
            {"channels": (4, 8), "strides": (2,), "num_res_units": 0},
            {"channels": (4, 8, 8, 8), "strides": (1, 2, 4)},
        ]
    )
    def backbone(self, request):
        return UNet(UNet.Options(**request.param))


class TestUNETR(BackboneContract):
    @pytest.fixture
    def backbone(self):
        return UNETR(UNETR.Options(hidden_size=48, mlp_dim=96, num_heads=4, feature_size=4))


class TestVNet(BackboneContract):
    @pytest.fixture(params=[0.5, 0.0])
    def backbone(self, request):
        return VNet(VNet.Options(dropout=request.param))


class TestBasicUNet(BackboneContract):
    @pytest.fixture(params=[{}, {"features": (2, 4, 4, 6, 4, 3), "norm": "batch", "dropout": 0.2}])
    def backbone(self, request):
        return BasicUNet(BasicUNet.Options(**request.param))


class TestVNetLA(BackboneContract):
    @pytest.fixture(params=[{}, {"channels": (2, 4, 4, 6, 4), "norm": "instance", "dropout": 0.0}])
    def backbone(self, request):
        return VNetLA(VNetLA.Options(**request.param))


class Plain(Backbone):
    """Offers nothing but logits, in 3D alone."""

    spatial_dims = frozenset({3})

    def build(self, task):
        return nn.Conv3d(task.in_channels, task.out_channels, 3, padding=1)


class TestPlain(BackboneContract):
    @pytest.fixture
    def backbone(self):
        return Plain()


class Claims(Plain):
    """Wrong on purpose: declares what it lacks."""

    capabilities = frozenset({"split", "scales", "upsampling"})


class Misspelt(Plain):
    """Wrong on purpose."""

    capabilities = frozenset({"splitt"})


class ScalesOnly(Plain):
    """Wrong on purpose: there are no levels."""

    capabilities = frozenset({"scales"})


class Broken(TinyNetwork):
    """A network with a fault in its parts."""

    def __init__(self, task, fault):
        super().__init__(task)
        self.fault = fault
        first, second = self.levels
        if fault == "channels":
            self.levels = (Level(4, first.factor), second)
        if fault == "factor":
            self.levels = (first, Level(6, (4, 4, 4)))
        if fault == "flat":
            self.levels = (first,)
        if fault == "forgotten":
            self.parts = {**self.parts, "decoder": ()}
        if fault == "twice":
            self.parts = {**self.parts, "decoder": ("up", "head")}
        if fault == "misplaced":
            self.parts = {**self.parts, "encoder": ("first",), "decoder": ("down", "up")}

    def forward(self, images):
        logits = super().forward(images)
        return logits.softmax(1) if self.fault == "more in forward" else logits

    def decode(self, features):
        if self.fault == "in place":
            features[0].mul_(2)
        decoded = super().decode(features)
        return decoded[::-1] if self.fault == "coarsest first" else decoded


class BrokenBackbone(TinyBackbone):
    """Makes networks with a fault."""

    def __init__(self, fault):
        super().__init__()
        self.fault = fault

    def with_upsampling(self, mode):
        return TinyBackbone().with_upsampling(mode)

    def build(self, task):
        return Broken(task, self.fault)


class NoWayUp(TinyBackbone):
    """Wrong on purpose: the option changes nothing."""

    def build(self, task):
        return TinyNetwork(task)


class OtherOption(TinyBackbone):
    """Wrong on purpose: there is no such option."""

    class Options(ComponentOptions):
        """None."""

    def build(self, task):
        return super().build(task) if hasattr(self.options, "upsampling") else TinyNetwork(task)


def check(backbone, name):
    contract = BackboneContract()
    arguments = (backbone,) if name == "test_capabilities_are_known" else (backbone, TASK)
    getattr(contract, name)(*arguments)


@pytest.mark.parametrize("name", [name for name in vars(CapabilityTests) if name.startswith("test_")])
def test_without_a_fault_the_parts_keep_the_contract(name):
    check(BrokenBackbone(fault=None), name)


@pytest.mark.parametrize(
    ("backbone", "caught_by", "reason"),
    [
        (Claims(), "test_the_parts_one_after_another_are_the_network", "Conv3d is not a SplitNetwork"),
        (Claims(), "test_levels_are_what_is_decoded", "Conv3d is not a SplitNetwork"),
        (Claims(), "test_every_parameter_belongs_to_one_part", "Conv3d is not a SplitNetwork"),
        (Claims(), "test_a_part_works_without_the_others", "Conv3d is not a SplitNetwork"),
        (Claims(), "test_a_level_is_coarser_than_the_image", "Conv3d is not a SplitNetwork"),
        (Claims(), "test_each_upsampling_makes_a_different_network", "upsampling"),
        (Misspelt(), "test_capabilities_are_known", "unknown capabilities: splitt; known: scales, split, upsampling"),
        (ScalesOnly(), "test_capabilities_are_known", "split"),
        (BrokenBackbone("more in forward"), "test_the_parts_one_after_another_are_the_network", "not close"),
        (BrokenBackbone("in place"), "test_the_parts_one_after_another_are_the_network", None),
        (BrokenBackbone("channels"), "test_levels_are_what_is_decoded", "4"),
        (BrokenBackbone("factor"), "test_levels_are_what_is_decoded", "6"),
        (BrokenBackbone("coarsest first"), "test_levels_are_what_is_decoded", None),
        (BrokenBackbone("flat"), "test_levels_are_what_is_decoded", None),
        (BrokenBackbone("flat"), "test_a_level_is_coarser_than_the_image", None),
        (BrokenBackbone("forgotten"), "test_every_parameter_belongs_to_one_part", "up.weight"),
        (BrokenBackbone("twice"), "test_every_parameter_belongs_to_one_part", "head.weight"),
        (NoWayUp(), "test_each_upsampling_makes_a_different_network", "trilinear and transposed give the same network"),
        (OtherOption(), "test_each_upsampling_makes_a_different_network", "upsampling"),
    ],
    ids=lambda value: getattr(value, "fault", type(value).__name__) if isinstance(value, Backbone) else None,
)
def test_the_contract_catches(backbone, caught_by, reason):
    with pytest.raises(AssertionError, match=reason):
        check(backbone, caught_by)


def test_the_contract_catches_a_part_that_needs_another():
    """The encoder's convolution is said to be the decoder's: what is left when it is dropped gives other features."""
    with pytest.raises((AssertionError, RuntimeError)):
        check(BrokenBackbone("misplaced"), "test_a_part_works_without_the_others")


def test_capabilities_that_a_strategy_of_one_s_own_asks_for():
    contract = BackboneContract()
    contract.own_capabilities = frozenset({"splitt"})
    contract.test_capabilities_are_known(Misspelt())
