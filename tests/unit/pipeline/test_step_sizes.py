"""How many samples of each stream a step draws: by ``training.batch_size.fill``, strategy and cases."""

import pytest

from semiseg import check, load_recipe
from semiseg.data.draws import Phase
from semiseg.engine.schedule import TrainingSchedule
from semiseg.errors import ComponentError
from semiseg.interfaces.strategy import BatchNeeds, Stage, StreamNeeds
from semiseg.pipeline.plan import make_plan
from semiseg.pipeline.samples.step_sizes import draws_of, n_steps, step_sizes
from semiseg.pipeline.step_mode import OpenModes
from semiseg.planning.open_values import with_values
from semiseg.recipe.dump import dump_recipe
from semiseg.recipe.schema import BatchSize
from semiseg.strategies.cps import CPSOptions, CrossPseudoSupervision
from semiseg.strategies.pseudo_label import PseudoLabel
from semiseg.strategies.self_training import SelfTraining
from semiseg.strategies.supervised import Supervised

BOTH, LABELS = BatchNeeds(), BatchNeeds(unlabeled=StreamNeeds(uses=False))
PAIRS = BatchNeeds(StreamNeeds(minimum=2, unit=2), StreamNeeds(unit=2))
RECIPE = {
    "name": "filled",
    "dataset": {"name": "phantom", "cases": 6, "size": [32, 32, 32]},
    "split": {"test": 1, "validation": 1, "labeled": 2, "total": 4},
    "augmentation": "none",
    "backbone": {"name": "unet", "channels": [4, 8], "strides": [2], "num_res_units": 0},
    "strategy": {"name": "cps", "wait_share": 0.3},
    "training": {
        "epochs": 2,
        "examples_per_epoch": 20,
        "patch_size": [16, 16, 16],
        "batch_size": {"labeled": 3, "unlabeled": 1},
        "workers": 0,
        "device": "cpu",
    },
    "inference": {"overlap": 0.0},
}


def sizes(fill, needs=BOTH, any_unlabeled=True, labeled=3, unlabeled=1):
    found, notes = step_sizes(BatchSize(labeled=labeled, unlabeled=unlabeled, fill=fill), needs, any_unlabeled)
    return (*found.mixed, *found.alone), len(notes)


@pytest.mark.parametrize(
    ("fill", "method", "control", "supervised"),
    [
        ("stages", (3, 1, 4, 0), (3, 0, 4, 0), (3, 0, 3, 0)),
        ("trainings", (3, 1, 3, 1), (4, 0, 4, 0), (4, 0, 4, 0)),
        ("always", (3, 1, 4, 0), (4, 0, 4, 0), (4, 0, 4, 0)),
    ],
)
def test_steps_with_and_without_unlabeled_samples(fill, method, control, supervised):
    """Labeled and unlabeled samples of a step that uses both, then of a step of labels alone."""
    assert sizes(fill) == (method, 0)
    assert sizes(fill, any_unlabeled=False) == (control, 1)
    assert sizes(fill, LABELS) == (supervised, 1)
    assert sizes(fill, LABELS, any_unlabeled=False) == (supervised, 1)
    for needs in (BOTH, LABELS):  # a recipe without unlabeled samples is as written
        assert sizes(fill, needs, labeled=4, unlabeled=0) == ((4, 0, 4, 0), 0)


def test_groups_stay_together_where_labels_fill_a_step():
    assert sizes("stages", PAIRS, labeled=4, unlabeled=4) == ((4, 4, 8, 0), 0)
    odd = BatchNeeds(StreamNeeds(minimum=2, unit=2))
    assert sizes("stages", odd, labeled=2, unlabeled=3) == ((2, 3, 4, 0), 0)


def test_by_default_stages_are_filled_and_the_rule_is_always_written():
    assert load_recipe(RECIPE).training.batch.fill == "stages"
    for fill in ("stages", "trainings", "always"):
        assert f"fill: {fill}" in dump_recipe(load_recipe(RECIPE, [f"training.batch_size.fill={fill}"]))


def test_a_batch_that_an_earlier_version_planned_has_that_version_s_rule():
    auto = load_recipe({**RECIPE, "training": {**RECIPE["training"], "batch_size": "auto"}})
    earlier = with_values(auto, {"training.batch_size": {"labeled": 3, "unlabeled": 1}})
    assert earlier.training.batch.fill == "trainings"
    now = with_values(auto, {"training.batch_size": BatchSize(labeled=3, unlabeled=1).model_dump()})
    assert now.training.batch.fill == "stages"


def phases(strategy, *changes):
    recipe = load_recipe(RECIPE, changes).with_component("strategy", strategy[0], **strategy[1])
    return [(phase.start, phase.stop, *phase.counts) for phase in make_plan(recipe).draws.phases]


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ((CrossPseudoSupervision, {"wait_share": 0.3}), [(0, 3, 4, 0), (3, 10, 3, 1)]),
        ((CrossPseudoSupervision, {"wait_epochs": 1}), [(0, 5, 4, 0), (5, 10, 3, 1)]),
        ((CrossPseudoSupervision, {"wait_share": 0}), [(0, 10, 3, 1)]),
        ((CrossPseudoSupervision, {"wait_epochs": 2}), [(0, 10, 4, 0)]),
        ((PseudoLabel, {"wait_share": 0.2}), [(0, 2, 4, 0), (2, 10, 3, 1)]),
        ((PseudoLabel, {"ramp": "step", "ramp_share": 0.7}), [(0, 7, 4, 0), (7, 10, 3, 1)]),
        ((SelfTraining, {"teacher_share": 0.6}), [(0, 6, 4, 0), (6, 10, 3, 1)]),
        ((SelfTraining, {"reliable_share": 0.5}), [(0, 5, 4, 0), (5, 10, 3, 1)]),
        ((Supervised, {}), [(0, 10, 3, 0)]),
    ],
)
def test_waits_and_stages_of_labels_alone_are_filled(strategy, expected):
    assert phases(strategy) == expected


def test_the_control_draws_the_labeled_samples_of_its_method():
    strategy = CrossPseudoSupervision, {"wait_share": 0.3}
    assert phases(strategy, "split.total=2") == [(0, 3, 4, 0), (3, 10, 3, 0)]
    assert phases(strategy, "split.total=2", "training.batch_size.fill=trainings") == [(0, 10, 4, 0)]
    assert phases(strategy, "training.batch_size.fill=trainings") == [(0, 10, 3, 1)]


def test_the_number_of_steps_is_that_of_the_written_batch():
    for changes in ([], ["strategy.name=supervised"], ["split.total=2"], ["strategy.name=self_training"]):
        for fill in ("stages", "trainings", "always"):
            plan = make_plan(load_recipe(RECIPE, [*changes, f"training.batch_size.fill={fill}"]))
            assert plan.draws.phases[-1].stop == n_steps(plan.recipe.training) == 2 * 5


def test_a_wait_in_a_very_long_training_is_found_at_once():
    strategy = CrossPseudoSupervision(CPSOptions(wait_share=0.25), {})
    table = TrainingSchedule(strategy.stages(), 10**9, 4, 4, seed=0)
    draws = draws_of(step_sizes(BatchSize(), BOTH, any_unlabeled=True)[0], table, strategy)
    assert draws.phases == (Phase(0, 25 * 10**7, (4, 0)), Phase(25 * 10**7, 10**9, (2, 2)))


class NoneAtAll(Supervised):
    """It says that it uses unlabeled samples, whenever it is asked, and never does."""

    def uses_unlabeled(self, step):
        return True


class Contrary(Supervised):
    def stages(self):
        return Stage("one", 0.5), Stage("two", 0.5, pseudo_labels=True, unlabeled=False)


def test_a_strategy_that_never_takes_unlabeled_samples_is_given_none():
    assert phases((NoneAtAll, {})) == [(0, 10, 3, 0)]


def test_pseudo_labels_of_no_samples_are_refused():
    recipe = load_recipe(RECIPE).with_component("strategy", Contrary)
    with pytest.raises(ComponentError, match="Stage two has pseudo-labels, but uses no unlabeled samples"):
        make_plan(recipe).draws  # noqa: B018


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ([], "Training: 3 steps of 4 labeled, then 7 steps of 3 labeled and 1 unlabeled patches of 16 x 16 x 16"),
        (["strategy.name=supervised"], "Training: 10 steps of 3 labeled patches of 16 x 16 x 16"),
        (
            ["training.batch_size.fill=trainings"],
            "Training: 10 steps of 3 labeled and 1 unlabeled patches of 16 x 16 x 16",
        ),
    ],
)
def test_check_tells_what_steps_draw(changes, line):
    assert line in check(RECIPE, overrides=changes, quick=True)


def test_check_tells_that_a_wait_lasts_until_the_end():
    note = "Note: no step uses unlabeled samples: the strategy waits until training ends."
    waits = ["strategy.wait_share=null", "strategy.wait_epochs=2"]
    assert note in check(RECIPE, overrides=waits, quick=True)
    assert note not in check(RECIPE, quick=True)


def test_a_baseline_of_fewer_samples_is_told():
    notes = make_plan(load_recipe(RECIPE, ["strategy.name=supervised"])).notes
    assert (
        "the strategy uses no unlabeled samples: a step has 3 labeled samples, as it has beside unlabeled ones"
        " (training.batch_size.fill is stages)"
    ) in notes


def test_memory_is_that_of_the_largest_step():
    """A control has more samples in its wait than after it."""
    control = OpenModes(make_plan(load_recipe(RECIPE, ["split.total=2"])), world=1)
    assert (control.batch, control.share, control.whole) == (4, (4, 0), (4, 0))
    assert control.modes[1].micro_batch == 2
    after = OpenModes(make_plan(load_recipe(RECIPE, ["split.total=2", "strategy.wait_share=0"])), world=1)
    assert after.batch == 3
    both = OpenModes(make_plan(load_recipe(RECIPE)), world=1)
    assert (both.batch, both.share) == (4, (3, 1))  # of steps with as many samples, those with unlabeled ones
