import pytest

from semiseg.backbones.unet import UNet
from semiseg.backbones.unetr import UNETR
from semiseg.backbones.vnet import VNet
from semiseg.testing.backbone import BackboneContract


class TestUNet(BackboneContract):
    @pytest.fixture(params=[{}, {"norm": "batch"}, {"channels": (4, 8, 16), "strides": (2, 2), "num_res_units": 0}])
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
