"""Networks under torch.compile, with the backend that runs what is captured as it is: no compiler is needed."""

import pytest
import torch

from semiseg.backbones.basic_unet import BasicUNet
from semiseg.backbones.unet import UNet
from semiseg.backbones.unetr import UNETR
from semiseg.backbones.vnet_la import VNetLA
from semiseg.engine.build import compile_networks
from semiseg.errors import RecipeError
from semiseg.types import Task

TASK = Task(1, ("background", "a"), (32, 32, 32))
BACKBONES = [
    UNet(UNet.Options(channels=(2, 4, 8), strides=(2, 2))),
    UNETR(UNETR.Options(feature_size=2, hidden_size=12, mlp_dim=12, num_heads=2)),
    BasicUNet(BasicUNet.Options(features=(2, 2, 2, 2, 2, 2))),
    VNetLA(VNetLA.Options(channels=(2, 2, 2, 2, 2), dropout=0.0)),
]


WHOLE = [backbone for backbone in BACKBONES if not isinstance(backbone, BasicUNet)]


@pytest.fixture(autouse=True)
def fresh():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def gradients(out, network):
    return torch.autograd.grad(out.square().mean(), list(network.parameters()), allow_unused=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    "backbone", [b for b in BACKBONES if not isinstance(b, BasicUNet)], ids=lambda b: type(b).__name__
)
def test_the_whole_network_is_one_graph(backbone):
    """In training, with fullgraph: a break of the graph would be an error. Values and gradients stay the same.

    MONAI's BasicUNet asks torch.jit.isinstance, where dynamo breaks the graph; it is compiled in parts.
    """
    torch.manual_seed(0)
    network, images = backbone.build(TASK), torch.randn(2, 1, 32, 32, 32)
    expected = network(images)
    graphs = []

    def capture(graph, example_inputs):
        graphs.append(graph)
        return graph

    network.compile(backend=capture, fullgraph=True)
    found = network(images)
    assert len(graphs) == 1
    assert torch.equal(found, expected)
    for a, b in zip(gradients(found, network), gradients(expected, network), strict=True):
        assert (a is None and b is None) or torch.allclose(a, b, rtol=1e-4, atol=1e-6)


@pytest.fixture
def without_compiler(monkeypatch):
    """torch.compile as it is, but for the backend."""
    compiled, compile_ = [], torch.compile

    def compile_eagerly(model=None, **options):
        compiled.append(model)
        return compile_(model, **{**options, "backend": "eager"})

    monkeypatch.setattr(torch, "compile", compile_eagerly)
    return compiled


def test_compiled_networks_keep_the_names_of_their_state(without_compiler):
    network, fresh = BACKBONES[0].build(TASK), BACKBONES[0].build(TASK)
    images = torch.randn(1, 1, 32, 32, 32)
    compile_networks([network], torch.device("cpu"))
    assert len(without_compiler) == 2  # a trial, and the network
    assert list(network.state_dict()) == list(fresh.state_dict())
    fresh.load_state_dict(network.state_dict())
    assert torch.allclose(network(images), fresh(images), atol=1e-6)


def test_where_torch_cannot_compile_the_recipe_is_refused(monkeypatch):
    def broken(function):
        raise RuntimeError("No working C++ compiler found\nand much more")

    monkeypatch.setattr(torch, "compile", broken)
    network = BACKBONES[0].build(TASK)
    with pytest.raises(RecipeError) as caught:
        compile_networks([network], torch.device("cpu"))
    (problem,) = caught.value.problems
    assert problem.what.endswith("cannot compile for the cpu here: No working C++ compiler found")
    assert "training.compile=false" in problem.fix
