"""Further decoders, heads and scales, on every built-in backbone."""

import pytest
import torch

from semiseg.errors import ComponentError
from semiseg.interfaces.split import Level, Outputs, keep
from semiseg.registry import create
from semiseg.strategies.supervised import Supervised
from semiseg.strategy_parts.heads import MoreDecoders, MoreHeads, MoreScales
from semiseg.strategy_parts.upsampling import replace_upsampling
from semiseg.testing.tiny import TinyBackbone, TinyNetwork
from semiseg.types import Task

TASKS = {f"{n}D": Task(2, ("background", "a", "b"), (32,) * n) for n in (3, 2)}
SMALL = {
    "unet": {"channels": (4, 8, 16), "strides": (2, 2), "num_res_units": 1},
    "unetr": {"feature_size": 4, "hidden_size": 12, "mlp_dim": 12, "num_heads": 2},
    "vnet": {"dropout": 0.0},
    "basic_unet": {"features": (2, 4, 4, 6, 4, 3)},
    "vnet_la": {"channels": (2, 4, 4, 6, 4)},
}


@pytest.fixture(params=SMALL)
def backbone(request):
    return create("backbone", request.param, SMALL[request.param])


@pytest.fixture(params=TASKS)
def task(request):
    return TASKS[request.param]


@pytest.fixture
def images(task):
    return torch.randn((1, 2, *task.patch_size), generator=torch.Generator().manual_seed(0))


def drawn(make):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make().eval()


def test_the_first_decoder_is_the_backbone_s_own_network(backbone, task, images):
    more = drawn(lambda: MoreDecoders(backbone, task, ("transposed", "trilinear", "nearest")))
    alone = drawn(lambda: backbone.build(task))
    with torch.no_grad():
        outputs, logits = more(images), alone(images)
    assert torch.equal(outputs.logits, logits)
    assert len(outputs.decoders) == 2
    assert all(o.shape == logits.shape and not torch.equal(o, logits) for o in outputs.decoders)


def test_further_decoders_have_no_encoder(backbone, task):
    more = MoreDecoders(backbone, task, ("transposed", "transposed"))
    whole = sum(p.numel() for p in more.network.parameters())
    encoder = sum(
        p.numel() for part in more.network.parts["encoder"] for p in more.network.get_submodule(part).parameters()
    )
    assert sum(p.numel() for p in more.others.parameters()) == whole - encoder
    assert 0 < encoder < whole


def test_each_decoder_goes_up_in_its_own_way(backbone, task):
    more = MoreDecoders(backbone, task, ("transposed", "trilinear", "nearest"))
    ways = [
        {m.mode for m in part.modules() if isinstance(m, torch.nn.Upsample)} for part in (more.network, *more.others)
    ]
    assert ways == [set(), {"trilinear" if task.spatial_dims == 3 else "bilinear"}, {"nearest"}]


def test_a_further_decoder_s_loss_reaches_the_shared_encoder_and_not_the_first_decoder(backbone, task, images):
    more = MoreDecoders(backbone, task, ("transposed", "nearest"))
    more(images).decoders[0].square().sum().backward()
    assert all(p.grad is not None for p in more.others.parameters())
    for part, names in more.network.parts.items():
        learned = [p.grad is not None for name in names for p in more.network.get_submodule(name).parameters()]
        assert any(learned) == (part == "encoder"), part


def test_dropout_before_the_scales_is_for_training_and_leaves_the_logits_alone(task, images):
    more = drawn(lambda: MoreScales(TinyBackbone(), task, dropout=0.5))
    with torch.no_grad():
        still = more(images)
        torch.manual_seed(0)
        trained = more.train()(images)
    assert torch.equal(trained.logits, still.logits)
    assert not torch.equal(trained.scales[0], still.scales[0])
    assert torch.equal(more.eval()(images).scales[0], still.scales[0])


def test_a_further_head_has_channels_of_its_own_and_learns_alone(backbone, task, images):
    more = MoreHeads(backbone, task, {"distance": ("a", "b")})
    outputs = more(images)
    assert outputs.heads["distance"].shape == (1, 2, *task.patch_size)
    outputs.heads["distance"].square().sum().backward()
    head, main = more.heads["distance"], more.network
    assert all(p.grad is not None for p in head.parameters())
    assert all(p.grad is None for name in main.parts["head"] for p in main.get_submodule(name).parameters())
    assert all(p.grad is not None for name in main.parts["decoder"] for p in main.get_submodule(name).parameters())


def test_scales_are_the_coarser_levels_at_the_image_s_size(backbone, task, images):
    more = drawn(lambda: MoreScales(backbone, task))
    coarse = [level for level in more.network.levels if max(level.factor) > 1]
    with torch.no_grad():
        outputs = more(images)
        network = more.network
        decoded = network.decode(network.encode(images))
    assert len(outputs.scales) == len(coarse)
    assert all(scale.shape == outputs.logits.shape for scale in outputs.scales)
    index = network.levels.index(coarse[-1])
    by_hand = torch.nn.functional.interpolate(
        more.scales[-1](decoded[index]), size=32, mode="trilinear" if task.spatial_dims == 3 else "bilinear"
    )
    assert torch.equal(outputs.scales[-1], by_hand)


def test_a_network_without_a_coarse_level_is_refused(monkeypatch, task):
    whole = TinyNetwork.__init__

    def fine(self, task, noisy=False):
        whole(self, task, noisy)
        self.levels = (Level(8, (1,) * task.spatial_dims),)

    monkeypatch.setattr(TinyNetwork, "__init__", fine)
    with pytest.raises(ComponentError, match="no level that is coarser"):
        MoreScales(TinyBackbone(), task)


def test_networks_that_are_not_split_are_refused_by_name():
    with pytest.raises(TypeError, match="Conv3d is not a SplitNetwork"):
        keep(torch.nn.Conv3d(1, 1, 1), "head")
    with pytest.raises(TypeError, match="Conv3d is not a SplitNetwork"):
        replace_upsampling(torch.nn.Conv3d(1, 1, 1), "nearest")


def test_all_outputs_come_back_in_float32_under_autocast(images):
    class Half(torch.nn.Module):
        def forward(self, x):
            half = x.bfloat16()
            return Outputs(half, (half,), (half, half), {"a": half})

    strategy = Supervised(Supervised.Options(), {"model": Half()})
    outputs = strategy.outputs("model", images)
    tensors = [outputs.logits, *outputs.decoders, *outputs.scales, *outputs.heads.values()]
    assert [t.dtype for t in tensors] == [torch.float32] * 5
    assert torch.equal(strategy.run("model", images), outputs.logits)
