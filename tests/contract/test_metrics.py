"""Every installed metric keeps the contract; and the contract catches metrics that do not."""

import functools
import math

import pytest

from semiseg.interfaces.metric import Metric
from semiseg.metrics.distances import HD95, NSD
from semiseg.metrics.overlap import Dice
from semiseg.metrics.surface import border_surfaces
from semiseg.registry import create, installed, load
from semiseg.testing.metric import MetricContract, make_pair

NAMES = [entry.name for entry in installed("metric")]


def test_the_built_in_metrics_are_installed():
    assert set(NAMES) >= {
        "assd", "dice", "hd", "hd95", "jaccard", "lesion_dice", "lesion_hd95", "nsd", "precision", "sensitivity",
        "volume_difference",
    }  # fmt: skip


@pytest.mark.parametrize("metric", NAMES, indirect=True)
class TestInstalledMetrics(MetricContract):
    @pytest.fixture(autouse=True)
    def _tolerance(self, request):
        self.uses_spacing = request.node.callspec.params["metric"] == "nsd"

    @pytest.fixture
    def metric(self, request) -> Metric:
        return create("metric", request.param)

    def test_the_class_says_what_it_is_and_where_it_is_from(self, metric):
        assert metric.__doc__ is not None
        assert "Source:" in metric.__doc__


@pytest.mark.parametrize(
    "metric", [HD95(HD95.Options(kind="pooled")), HD95(HD95.Options(kind="area")), NSD(NSD.Options(kind="area"))]
)
class TestVariants(MetricContract):
    uses_spacing = True


def test_entry_points_give_the_classes():
    assert load("metric", "dice") is Dice
    assert load("metric", "hd95") is HD95


class Forgetful(HD95):
    """Wrong on purpose: takes voxels for millimeters."""

    def value(self, pair):
        return super().value(make_pair(pair.reference, pair.prediction))


class OneAxis(HD95):
    """Wrong on purpose: takes the first axis' spacing for all."""

    def value(self, pair):
        return super().value(make_pair(pair.reference, pair.prediction, (pair.spacing[0],) * 3))


class Scribbler(Dice):
    """Wrong on purpose: writes to its input."""

    def value(self, pair):
        pair.reference[0] = False
        return super().value(pair)


class Upside(Dice):
    """Wrong on purpose: says that lower is better."""

    higher_is_better = False


class Optimist(Dice):
    """Wrong on purpose: a miss is not what it declares."""

    def __call__(self, pair):
        return 1.0 if pair.status == "missed" else super().__call__(pair)


class Crooked(Dice):
    """Wrong on purpose: depends on the order of axes."""

    def value(self, pair):
        return float(pair.prediction[len(pair.prediction) // 2 :].mean())


class BoxSpecificity(Dice):
    """Wrong on purpose: counts the background of the box around the masks."""

    def value(self, pair):
        background = ~pair.reference
        return float((background & ~pair.prediction).sum() / background.sum()) if background.any() else 1.0


class Specificity(Dice):
    """Right: counts the background of the whole image."""

    def value(self, pair):
        spurious = int((pair.prediction & ~pair.reference).sum())
        return 1 - spurious / (math.prod(pair.image_shape) - pair.n_reference)


class TestSpecificity(MetricContract):
    @pytest.fixture
    def metric(self):
        return Specificity()


class Proud(Dice):
    """Wrong on purpose: gives up on small structures."""

    def value(self, pair):
        if pair.n_reference < 60:
            raise ValueError("too small")
        return super().value(pair)


class Unsure(Dice):
    """Wrong on purpose: a prediction without overlap has no value."""

    def value(self, pair):
        return super().value(pair) or math.nan


class Tolerant(Dice):
    """Right: the share of the reference's border that the prediction's border is within 1 mm of."""

    def value(self, pair):
        return float((pair.shared(border_surfaces).from_reference <= 1).mean())


class TestMetricWithATolerance(MetricContract):
    uses_spacing = True

    @pytest.fixture
    def metric(self):
        return Tolerant()


contract = MetricContract()


@pytest.mark.parametrize(
    ("check", "metric"),
    [
        (contract.test_a_perfect_prediction_has_the_best_value, Upside()),
        (contract.test_empty_masks_have_the_declared_values, Optimist()),
        (contract.test_spacing_is_honored, Forgetful()),
        (contract.test_spacing_is_honored, OneAxis()),
        (contract.test_spacing_is_honored, Tolerant()),
        (contract.test_order_and_direction_of_axes_do_not_matter, OneAxis()),
        (contract.test_order_and_direction_of_axes_do_not_matter, Crooked()),
        (contract.test_masks_are_not_written_to, Scribbler()),
        (contract.test_the_box_around_the_masks_does_not_matter, BoxSpecificity()),
        (functools.partial(contract.test_masks_of_any_size_have_a_value, masks="one voxel, found"), Proud()),
        (functools.partial(contract.test_masks_of_any_size_have_a_value, masks="masks without overlap"), Unsure()),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_the_contract_catches(check, metric):
    with pytest.raises((AssertionError, ValueError)):
        check(metric)
