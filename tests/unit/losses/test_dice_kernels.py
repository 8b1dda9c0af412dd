"""The Triton kernels of the Dice loss, without a GPU: interpreted, compiled for GPUs, and chosen or not."""

import subprocess
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from helpers_suite import run_suite

from semiseg.losses import _dice_plain, dice_kernels
from semiseg.losses.dice import dice_loss
from semiseg.losses.dice_kernels import PLAIN, judge, passes_for, verdicts

needs_triton = pytest.mark.skipif(find_spec("triton") is None, reason="needs Triton: pip install -e '.[triton]'")
CPU = torch.device("cpu")


@pytest.mark.slow
@needs_triton
def test_kernels_agree_with_plain_torch_in_triton_s_interpreter():
    run_suite(Path(__file__).with_name("interpreted_dice_kernels.py"), TRITON_INTERPRET="1")


@needs_triton
@pytest.mark.filterwarnings("ignore:TRITON_DEFAULT_FP_FUSION is unset")
@pytest.mark.parametrize("capability", [80, 90, 100])
@pytest.mark.parametrize("kind", ["*fp32", "*bf16"])
@pytest.mark.parametrize("name", ["_sums", "_gradient"])
def test_kernels_compile_for_gpus_without_spilling_registers(tmp_path, monkeypatch, name, kind, capability):
    """For A100, H100 and B200; the classes and label maps of CPS on BraTS. No GPU is needed to compile."""
    import triton
    from triton.backends import nvidia
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from semiseg.losses import _dice_triton

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    kernel = getattr(_dice_triton, name)
    constants = {**_dice_triton._sizes(4), "by_voxel": 1, "out_voxel": 1}
    pointers = {"partial": "*fp32", "constants": "*fp32", "out": kind, "logits": kind}
    tuples = {"maps": ("*i64", "*u8"), "counts": ("i32", "i32")}
    known = {**dict.fromkeys(constants, "constexpr"), **pointers, **tuples}
    signature = {argument: known.get(argument, "i32") for argument in kernel.arg_names}
    constants = {key: value for key, value in constants.items() if key in signature}
    compiled = triton.compile(ASTSource(kernel, signature, constants), target=GPUTarget("cuda", capability, 32))
    (tmp_path / "kernel.cubin").write_bytes(compiled.asm["cubin"])
    tool = Path(nvidia.__file__).parent / "bin" / "cuobjdump"
    command = [tool, "--dump-resource-usage", tmp_path / "kernel.cubin"]
    usage = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "STACK:0" in usage
    assert "LOCAL:0" in usage


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU and SEMISEG_TEST_GPU=1")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_on_a_gpu_the_kernels_are_found_right(dtype):
    reason = judge(dice_kernels._triton, torch.device("cuda"), 4, dtype).reason
    assert "ms in a trial that took" in reason, reason


class Altered:
    """Plain torch's passes, but for what a test changes."""

    def __init__(self, sums=1.0, gradient=1.0, fits=True, seconds=0.0):
        self.factors, self.takes, self.seconds = (sums, gradient), fits, seconds

    def fits(self, logits, label_maps):
        return self.takes

    def sums(self, logits, label_maps):
        time.sleep(self.seconds)
        predicted, overlap, actual = _dice_plain.sums(logits, label_maps)
        return predicted, overlap * self.factors[0], actual

    def gradient(self, logits, label_maps, everywhere, inside, out):
        _dice_plain.gradient(logits, label_maps, everywhere, inside, out)
        out.mul_(self.factors[1])


class Slow:
    """Plain torch, a tenth of a second late."""

    def sums(self, *arguments):
        time.sleep(0.1)
        return _dice_plain.sums(*arguments)

    gradient = staticmethod(_dice_plain.gradient)


@pytest.fixture
def slow_torch(monkeypatch):
    monkeypatch.setattr(dice_kernels, "PLAIN", Slow())


def decide(kernels, dtype=torch.float32):
    return judge(lambda: kernels, CPU, 3, dtype, size=3000)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_right_and_faster_kernels_are_taken(slow_torch, dtype):
    kernels = Altered(sums=1 + 1e-7, gradient=1 + 1e-6)
    verdict = decide(kernels, dtype)
    assert verdict.passes is kernels
    assert verdict.reason.startswith("Triton kernels, ")


def test_slower_kernels_are_not():
    verdict = decide(Altered(seconds=0.1))
    assert verdict.passes is PLAIN
    assert "ms in a trial that took Triton kernels 1" in verdict.reason


@pytest.mark.parametrize(
    "wrong",
    [{"sums": 1.001}, {"gradient": 1.001}, {"gradient": float("nan")}, {"sums": float("nan")}],
    ids=str,
)
def test_wrong_kernels_are_not_however_fast(slow_torch, wrong):
    verdict = decide(Altered(**wrong))
    assert verdict.passes is dice_kernels.PLAIN
    assert "the kernels are off by" in verdict.reason


def test_kernels_that_do_not_take_the_logits_are_not_tried():
    verdict = decide(Altered(fits=False))
    assert verdict.passes is PLAIN
    assert "do not support such logits" in verdict.reason


def test_without_triton_plain_torch_is_taken_and_the_reason_told():
    def load():
        raise ImportError("No module named 'triton'")

    verdict = judge(load, CPU, 3, torch.float32, size=3000)
    assert verdict.passes is PLAIN
    assert verdict.reason == "plain torch, since Triton does not work here: ImportError: No module named 'triton'"


def test_a_trial_that_runs_out_of_memory_ends_no_training(monkeypatch):
    class Greedy(Altered):
        def sums(self, logits, label_maps):
            raise torch.OutOfMemoryError("out of memory")

    verdict = decide(Greedy())
    assert verdict.passes is PLAIN
    assert verdict.reason.endswith("OutOfMemoryError: out of memory")


@pytest.mark.parametrize(("classes", "side"), [(2, 128), (4, 102), (14, 67), (64, 40)])
def test_a_trial_is_as_large_whatever_the_classes(monkeypatch, classes, side):
    shapes = []

    class Seen(Altered):
        def fits(self, logits, label_maps):
            shapes.append(tuple(logits.shape))
            assert logits.is_meta
            return False

    judge(Seen, CPU, classes, torch.float32)
    assert shapes == [(2, classes, side, side, side)]


def test_a_trial_leaves_random_state_as_it_was():
    before = torch.get_rng_state()
    decide(Altered())
    assert torch.equal(torch.get_rng_state(), before)


@pytest.fixture
def on_a_gpu(monkeypatch):
    """As on a GPU: the trial is of kernels that a test gives, and counted."""
    tried = []

    class Logits(torch.Tensor):
        is_cuda = True

    def use(kernels, slow=True):
        monkeypatch.setattr(dice_kernels, "_triton", lambda: tried.append(kernels) or kernels)
        if slow:
            monkeypatch.setattr(dice_kernels, "PLAIN", Slow())
        return lambda k, dtype, axes=3: torch.zeros((2, k, *(4,) * axes), dtype=dtype).as_subclass(Logits)

    monkeypatch.setattr(dice_kernels, "_SIZE", 3000)
    monkeypatch.setattr(dice_kernels, "_told", {})
    dice_kernels._verdict.cache_clear()
    yield use, tried
    dice_kernels._verdict.cache_clear()


def test_each_kind_of_logits_is_tried_once_and_told(on_a_gpu):
    use, tried = on_a_gpu
    kernels = Altered()
    logits = use(kernels)
    for _ in range(3):
        assert passes_for(logits(3, torch.float32), []) is kernels
    assert passes_for(logits(4, torch.bfloat16), []) is kernels
    assert passes_for(logits(4, torch.bfloat16, axes=2), []) is kernels
    assert len(tried) == 2
    first, second = verdicts()
    assert first.startswith("Dice loss (3 classes, float32): Triton kernels, ")
    assert second.startswith("Dice loss (4 classes, bfloat16): Triton kernels, ")
    assert verdicts() == []  # the next run tells its own
    passes_for(logits(3, torch.float32), [])
    assert verdicts() == [first]


def test_what_chosen_kernels_do_not_take_goes_to_plain_torch(on_a_gpu):
    use, _ = on_a_gpu
    kernels = Altered()
    logits = use(kernels)
    assert passes_for(logits(3, torch.float32), []) is kernels
    kernels.takes = False
    assert passes_for(logits(3, torch.float32), []) is dice_kernels.PLAIN


def test_a_deterministic_run_tries_nothing(on_a_gpu):
    use, tried = on_a_gpu
    logits = use(Altered())
    torch.use_deterministic_algorithms(True)
    try:
        assert passes_for(logits(3, torch.float32), []) is dice_kernels.PLAIN
    finally:
        torch.use_deterministic_algorithms(False)
    assert not tried
    assert verdicts() == []


def test_on_a_cpu_nothing_is_tried(monkeypatch):
    monkeypatch.setattr(dice_kernels, "_triton", lambda: pytest.fail("tried"))
    logits = torch.zeros((1, 2, 4, 4, 4), requires_grad=True)
    dice_loss(logits, torch.zeros((1, 4, 4, 4), dtype=torch.uint8)).sum().backward()
    assert logits.grad is not None
