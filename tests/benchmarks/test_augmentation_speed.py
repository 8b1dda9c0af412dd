"""Time of the seven operations on one sample, against TorchIO, MONAI and batchgeneratorsv2, in 3D and in 2D.

A normalized image (4, 240, 240, 155) float32 and its label are in memory; what is timed (as the processor's time) is
all that makes a changed patch of 128³ of them, with one thread and every operation applied. In 2D it is a patch of
256 x 256 from an image of 384 x 384 with one channel and with four. Run with
``pytest tests/benchmarks/test_augmentation_speed.py --benchmark-enable -s``: the ratios are printed at the end. They
depend on how memory is handed back to the system, so run it with
``MALLOC_MMAP_THRESHOLD_=4294967296 MALLOC_TRIM_THRESHOLD_=8589934592 MALLOC_TOP_PAD_=268435456`` too, which favors the
others. Values are asserted where the others can be given the same parameters, times are not.

The others lack some of the operations or mean something else by them, so comparisons are in their favor: TorchIO is
given semiseg's own curve of intensities as one function; MONAI cuts to the patch before it turns, which leaves the
corners empty; batchgeneratorsv2 does without the histogram shift.
"""

import itertools
import time

import numpy as np
import pytest
import torch

from semiseg.augmentation.fused import FusedAugmentation
from semiseg.augmentation.fused_torch import apply_changes
from semiseg.augmentation.intensity import apply_curve
from semiseg.augmentation.luque2023 import Luque2023Augmentation
from semiseg.augmentation.spatial import center_crop
from semiseg.data.samples import center_patch

OPTIONS = Luque2023Augmentation.Options(probability=1.0, probabilities={"flipping": 0.5})
FUSED = FusedAugmentation(OPTIONS)
ANGLE = np.deg2rad(OPTIONS.rotation)

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")


KINDS = {
    "3D, 4 channels": (4, (240, 240, 155), (128, 128, 128)),
    "2D, 4 channels": (4, (384, 384), (256, 256)),
    "2D, 1 channel": (1, (384, 384), (256, 256)),
}


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def size(benchmark, kind):
    size = KINDS[kind][2]
    return size if benchmark.enabled else tuple(n // 4 for n in size)  # values only, in little time


@pytest.fixture
def sample(benchmark, kind):
    """Smooth noise within a head, 0 around it; classes 0 to 3."""
    channels, shape, _ = KINDS[kind]
    shape = shape if benchmark.enabled else tuple(n // 4 for n in shape)
    noise = torch.randn((channels, *(n // 4 + 1 for n in shape)), generator=torch.Generator().manual_seed(0))
    mode = "trilinear" if len(shape) == 3 else "bilinear"
    image = torch.nn.functional.interpolate(noise[None], scale_factor=4, mode=mode)[0]
    image = image[(slice(None), *(slice(n) for n in shape))].contiguous()
    label = torch.bucketize(image[0], torch.tensor([0.4, 0.7, 1.0]))
    away = torch.meshgrid(*((torch.arange(n) - n / 2) / (0.45 * n) for n in shape), indexing="ij")
    outside = sum(distance**2 for distance in away) > 1
    return image.masked_fill(outside, 0), label.masked_fill(outside, 0)


def read_source(image, label, size):
    source = FUSED.source_size(size)
    return read_center(image, source), read_center(label, source)


def read_center(array, size):
    if len(size) == 2:
        return torch.from_numpy(center_patch(array[..., None].numpy(), (*size, 1)))[..., 0]
    return torch.from_numpy(center_patch(array.numpy(), size))


def fused(image, label, size):
    return FUSED(*read_source(image, label, size), size)


def fused_in_torch(image, label, size):
    image, label = read_source(image, label, size)
    image, label = image[None], label[None]
    image, label = apply_changes(image, label, [FUSED.draw(len(image[0]))], size, True)
    return image[0], label[0]


def paper(image, label, size):
    return Luque2023Augmentation(OPTIONS)(*read_source(image, label, size), size)


def torchio_crop_first(image, label, size):
    return in_torchio(*read_source(image, label, size), size)


def torchio_whole(image, label, size):
    return in_torchio(image, label, size, crop_early=False)


def in_torchio(image, label, size, crop_early=True):
    import torchio as tio

    change = FUSED.draw(len(image))
    zooms, dims = (change.zoom,) * 3, len(size)
    if dims == 2:  # as a volume with one slice
        change, zooms, size = change.in_plane(), (change.zoom, change.zoom, 1), (*size, 1)
        image, label = image[..., None], label[..., None]

    def bend(data):
        return torch.stack([apply_curve(c, curve, True) for c, curve in zip(data, change.curves, strict=True)])

    crop = tio.Lambda(lambda data: center_crop(data, size).clone())
    steps = [
        tio.Affine(zooms, change.degrees, (0, 0, 0), default_pad_value=0),
        *([crop] if crop_early else []),
        *([tio.Flip(change.flips)] if change.flips else []),
        tio.Lambda(bend, types_to_apply=[tio.INTENSITY]),
        *([] if crop_early else [crop]),
    ]
    subject = tio.Subject(image=tio.ScalarImage(tensor=image), label=tio.LabelMap(tensor=label[None].to(torch.int16)))
    changed = tio.Compose(steps)(subject)
    image, label = changed["image"].data, changed["label"].data[0].long()
    return (image, label) if dims == 3 else (image[..., 0], label[..., 0])


def monai_crop_first(image, label, size):
    import monai.transforms as mt

    low, high = OPTIONS.scaling
    steps = [
        mt.CenterSpatialCropd(["image", "label"], size),
        mt.RandAffined(
            ["image", "label"],
            prob=1,
            rotate_range=(ANGLE,) * (3 if len(size) == 3 else 1),
            scale_range=((1 / high - 1, 1 / low - 1),) * len(size),
            mode=("bilinear", "nearest"),
            padding_mode="zeros",
        ),
        *(mt.RandFlipd(["image", "label"], prob=0.5, spatial_axis=axis) for axis in range(len(size))),
        mt.RandAdjustContrastd("image", prob=1, gamma=OPTIONS.gamma),
        mt.RandHistogramShiftd("image", prob=1, num_control_points=OPTIONS.histogram_points),
        mt.RandShiftIntensityd("image", prob=1, offsets=OPTIONS.intensity_shift),
        mt.RandScaleIntensityd("image", prob=1, factors=OPTIONS.intensity_scaling),
    ]
    changed = mt.Compose(steps)({"image": image, "label": label[None].float()})
    return changed["image"].as_tensor(), changed["label"].as_tensor()[0].long()


def batchgeneratorsv2(image, label, size):
    pytest.importorskip("batchgeneratorsv2")
    from batchgeneratorsv2.transforms.intensity import brightness, gamma
    from batchgeneratorsv2.transforms.spatial.mirroring import MirrorTransform
    from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform
    from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms

    low, high = OPTIONS.scaling
    transform = ComposeTransforms(
        [
            SpatialTransform(
                size,
                0,
                random_crop=False,
                p_rotation=1,
                rotation=(-ANGLE, ANGLE),
                p_scaling=1,
                scaling=(1 / high, 1 / low),
                p_synchronize_scaling_across_axes=1,
                mode_seg="nearest",
            ),
            MirrorTransform(tuple(range(len(size)))),
            gamma.GammaTransform(OPTIONS.gamma, 0, False, 1, 0),
            brightness.BrightnessAdditiveTransform(0, OPTIONS.intensity_shift, False, 1),
            brightness.MultiplicativeBrightnessTransform((0.9, 1.1), False, 1),
        ]
    )
    image, label = read_source(image, label, size)
    changed = transform(image=image, segmentation=label[None].to(torch.int16))
    return changed["image"], changed["segmentation"][0].long()


METHODS = [
    fused,
    fused_in_torch,
    paper,
    torchio_crop_first,
    torchio_whole,
    monai_crop_first,
    batchgeneratorsv2,
]
SAME_PARAMETERS = (fused_in_torch, paper, torchio_crop_first)


@pytest.fixture(scope="module")
def ratios(request):
    medians = {}
    yield medians
    for kind in KINDS:
        times = {method: median for (of, method), median in medians.items() if of == kind}
        own = times.pop("fused", None)
        if own and times:
            lines = [f"{kind}: fused: {own * 1e3:.1f} ms"]
            lines += [f"{name}: {other * 1e3:.1f} ms, {other / own:.1f} times" for name, other in times.items()]
            with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
                print("", *lines, sep="\n")


@pytest.fixture(autouse=True)
def one_thread():
    import SimpleITK

    before = torch.get_num_threads(), SimpleITK.ProcessObject.GetGlobalDefaultNumberOfThreads()
    torch.set_num_threads(1)
    SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    yield
    torch.set_num_threads(before[0])
    SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(before[1])


@pytest.mark.benchmark(timer=time.process_time)
@pytest.mark.parametrize("method", METHODS)
def test_seven_operations_on_a_sample(benchmark, kind, sample, size, method, ratios):
    seeds = itertools.count()

    def next_seed():
        torch.default_generator.manual_seed(next(seeds))
        np.random.seed(0)
        return (*sample, size), {}

    rounds, warmup_rounds = (7 if len(size) == 3 else 40, 1) if benchmark.enabled else (1, 0)
    with torch.random.fork_rng(devices=[]):
        image, label = benchmark.pedantic(method, setup=next_seed, rounds=rounds, warmup_rounds=warmup_rounds)
        last = next(seeds) - 1
        torch.default_generator.manual_seed(last)
        expected, expected_label = fused(*sample, size)
    if benchmark.enabled:
        ratios[kind, method.__name__] = benchmark.stats.stats.median
    assert image.shape == (len(sample[0]), *size)
    assert set(label.unique().tolist()) == {0, 1, 2, 3}
    if method in SAME_PARAMETERS:
        dims = tuple(range(1, image.ndim))
        away = (image - expected).abs() / (expected.amax(dims, True) - expected.amin(dims, True))
        # Beyond the centers of the outermost voxels, which turn up in corners, TorchIO fills and the others fade.
        middle = center_crop(away, tuple(n * 3 // 4 for n in size))
        assert (middle < 1e-3).float().mean() > 0.999
        assert (label == expected_label).float().mean() > 0.999
