import pytest
import torch
from monai.networks.blocks.selfattention import SABlock

from semiseg.backbones.unetr import UNETR
from semiseg.types import Task


def network(**options):
    torch.manual_seed(0)
    sizes = {"feature_size": 2, "hidden_size": 12, "mlp_dim": 12, "num_heads": 3, **options}
    return UNETR(UNETR.Options(**sizes)).build(Task(1, ("background", "a"), (32, 32, 32))).double()


def blocks(net):
    return [module for module in net.modules() if isinstance(module, SABlock)]


def results(net, images):
    out = net(images)
    return [out.detach(), *torch.autograd.grad(out.square().mean(), list(net.parameters()), allow_unused=True)]


def test_fused_attention_has_the_same_logits_and_gradients():
    fused, stepwise = network(), network()
    assert blocks(fused)
    assert all(block.use_flash_attention for block in blocks(fused))
    for block in blocks(stepwise):
        block.use_flash_attention = False
    images = torch.randn(2, 1, 32, 32, 32, dtype=torch.float64)
    for a, b in zip(results(fused, images), results(stepwise, images), strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            assert torch.allclose(a, b, rtol=0, atol=1e-12 * max(1.0, float(b.abs().max())))


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_prediction_is_the_same_each_time(dropout):
    """With dropout MONAI's fused blocks would drop in eval() too: attention is then done step by step."""
    net = network(dropout_rate=dropout).eval()
    images = torch.randn(1, 1, 32, 32, 32, dtype=torch.float64)
    with torch.no_grad():
        assert torch.equal(net(images), net(images))
