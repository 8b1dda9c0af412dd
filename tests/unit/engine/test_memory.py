import pytest
import torch

from semiseg.backbones.basic_unet import BasicUNet
from semiseg.backbones.unet import UNet
from semiseg.backbones.unetr import UNETR
from semiseg.backbones.vnet import VNet
from semiseg.backbones.vnet_la import VNetLA
from semiseg.engine.build import build_networks
from semiseg.engine.memory import (
    NetworkMemory,
    StepMemory,
    estimate_memory,
    measure_networks,
    meta_networks,
    saved_bytes,
)
from semiseg.engine.step_modes import StepMode
from semiseg.interfaces.roles import Role
from semiseg.types import Task

FULL = Task(4, ("background", "a", "b", "c"), (128, 128, 128))


def test_saved_bytes_by_hand():
    # A convolution saves its input; the ReLU its output. 8 voxels a side, 2 channels in, 3 out, float32.
    net = torch.nn.Sequential(torch.nn.Conv3d(2, 3, 3, padding=1), torch.nn.ReLU()).to("meta")
    assert saved_bytes(net, [torch.empty(1, 2, 8, 8, 8, device="meta")]) == (2 + 3) * 8**3 * 4
    net = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3, padding=1), torch.nn.ReLU()).to("meta")
    assert saved_bytes(net, [torch.empty(1, 2, 8, 8, device="meta")]) == (2 + 3) * 8**2 * 4


@pytest.mark.parametrize("patch", [(64, 48), (32, 32, 16)], ids=["2D", "3D"])
@pytest.mark.parametrize(
    "backbone",
    [
        UNet(),
        UNet(UNet.Options(upsampling="trilinear", norm="batch", num_res_units=0)),
        VNet(),
        BasicUNet(),
        VNetLA(),
        UNETR(UNETR.Options(feature_size=4, hidden_size=48, mlp_dim=96, num_heads=4)),
    ],
    ids=lambda backbone: type(backbone).__name__,
)
def test_the_estimate_of_activations_is_what_a_forward_pass_saves(backbone, patch):
    task, role = Task(2, ("background", "a", "b"), patch), Role("model")
    (estimated,) = measure_networks([role], meta_networks([role], {"model": backbone}, task), task)
    network = build_networks([role], {"model": backbone}, task, 0)["model"]
    measured: dict[int, torch.Tensor] = {}
    weights = {p.data_ptr() for p in network.parameters()}

    def keep(tensor):
        if tensor.untyped_storage().data_ptr() not in weights:
            measured[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        network.train()(torch.randn(1, 2, *patch))
    saved = sum(tensor.untyped_storage().nbytes() for tensor in measured.values())
    assert estimated.saved == pytest.approx(saved, rel=0.1)
    assert estimated.parameters == sum(p.numel() for p in network.parameters())


def test_a_batch_of_slices_by_hand():
    task = Task(1, ("background", "a", "b", "c"), (256, 256))
    estimate = estimate_memory([NetworkMemory(100, 10, True)], task, StepMode(), batch=24)
    assert estimate.batch == 24 * 256**2 * (4 + 8)  # a float32 image and an int64 label for each sample
    assert estimate.activations == 24 * 100


@pytest.mark.parametrize(
    ("backbone", "saved", "parameters"),
    [(BasicUNet(), 2.86e9, 5.699e6), (UNet(), 0.392e9, 4.811e6), (UNETR(), 2.607e9, 102.468e6)],
)
def test_the_reference_study_s_networks_at_full_size(backbone, saved, parameters):
    roles = (Role("student_a"), Role("student_b"))
    networks = meta_networks(roles, {role.name: backbone for role in roles}, FULL)
    estimate = estimate_memory(measure_networks(roles, networks, FULL), FULL, StepMode(), batch=4)
    assert estimate.activations / 8 == pytest.approx(saved, rel=0.1)
    assert estimate.parameters == pytest.approx(2 * 16 * parameters, rel=0.01)


def test_what_a_step_mode_has_at_once_by_hand():
    # A network with 10 parameters that saves 100 bytes a sample, one with 20 and 300; weight and gradient are 4 bytes
    # each, Adam's moments 8.
    pair = [NetworkMemory(100, 10, True), NetworkMemory(300, 20, True)]
    joint = estimate_memory(pair, FULL, StepMode("joint", 2), batch=4)
    assert joint.batch == 4 * 128**3 * (4 * 4 + 8)  # four float32 images and an int64 label for each sample
    assert (joint.activations, joint.parameters) == (2 * (100 + 300), 16 * 30)
    alternating = estimate_memory(pair, FULL, StepMode("alternating", 1), batch=4)
    assert (alternating.activations, alternating.parameters) == (300, 12 * 30 + 4 * 20)
    split = estimate_memory(pair, FULL, StepMode("split"), batch=4)
    assert (split.activations, split.parameters) == (4 * 300, 4 * 30 + 12 * 20)
    frozen = estimate_memory([pair[0], NetworkMemory(300, 20, False)], FULL, StepMode(), batch=4)
    assert (frozen.activations, frozen.parameters) == (400, 16 * 10 + 4 * 20)
    averaged = estimate_memory([pair[0], NetworkMemory(300, 20, True, averaged=True)], FULL, StepMode(), batch=4)
    assert averaged.parameters == 16 * 30 + 4 * 20


def test_weights_depend_on_seed_stage_and_role_alone():
    task = Task(1, ("background", "a"), (32, 32, 32))
    a, b, t = Role("a"), Role("b"), Role("t", trained=False, initialized_like="a")
    backbones = {name: UNet() for name in "abt"}
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = build_networks([a, b, t], backbones, task, seed=1)
    assert torch.equal(torch.get_rng_state(), before)

    def same(x, y):
        return all(torch.equal(p, q) for p, q in zip(x.state_dict().values(), y.state_dict().values(), strict=True))

    assert same(build_networks([a], backbones, task, seed=1)["a"], first["a"])
    assert not same(first["a"], first["b"])
    assert not same(build_networks([a], backbones, task, seed=2)["a"], first["a"])
    assert not same(build_networks([a], backbones, task, seed=1, stage=1)["a"], first["a"])
    assert same(first["t"], first["a"])
    assert not any(p.requires_grad for p in first["t"].parameters())


def test_the_memory_of_steps_is_what_a_trial_measures(monkeypatch):
    """Neither the search for kernels in the first step, nor what predicts between steps."""
    peak = [0]
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: peak.__setitem__(0, 0))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: peak[0])
    memory = StepMemory(torch.device("cuda"))
    for taken, seen in ((90, 0), (50, 50), (60, 60), (40, 60)):
        with memory.of_a_step():
            peak[0] = taken
        assert memory.peak == seen
        peak[0] = 80  # validation


def test_on_a_cpu_the_memory_of_steps_is_not_known():
    memory = StepMemory(torch.device("cpu"))
    for _ in range(2):
        with memory.of_a_step():
            pass
    assert memory.peak == 0
