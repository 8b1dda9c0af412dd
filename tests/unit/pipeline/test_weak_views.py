"""Weak views of unlabeled samples: which strategies ask for them, and what is told where there are none."""

import pytest
import torch
from test_step_sizes import RECIPE

from semiseg import load_recipe
from semiseg.augmentation.none import NoAugmentation
from semiseg.engine.runtime import Runtime
from semiseg.interfaces.augmentation import Augmentation
from semiseg.pipeline.plan import make_plan
from semiseg.pipeline.samples.weak_views import weak_augmentation
from semiseg.pipeline.train import fill_store, training_batches
from semiseg.progress import Reporter
from semiseg.recipe.diff import changes, recipe_hash
from semiseg.recipe.dump import resolved
from semiseg.strategies.cps import CrossPseudoSupervision
from semiseg.strategies.fixmatch import FixMatch


def plan(strategy, augmentation="luque2023", *changes):
    recipe = load_recipe({**RECIPE, "strategy": strategy, "augmentation": augmentation}, changes)
    return make_plan(recipe)


class Noisy(Augmentation):
    """It cannot do without its noise."""

    def __call__(self, image, label, patch_size):
        return image + torch.randn_like(image), label


def test_fixmatch_labels_weak_views_unless_told_otherwise():
    assert FixMatch.weak_unlabeled(FixMatch.Options())
    assert not FixMatch.weak_unlabeled(FixMatch.Options(weak_view="recipe"))
    assert not CrossPseudoSupervision.weak_unlabeled(CrossPseudoSupervision.Options())
    assert CrossPseudoSupervision.weak_unlabeled(CrossPseudoSupervision.Options(weak_view="geometry"))


def test_the_views_of_earlier_runs_are_those_of_the_recipe():
    now = load_recipe({**RECIPE, "strategy": "fixmatch"})
    then = load_recipe({**RECIPE, "strategy": {"name": "fixmatch", "weak_view": "recipe"}})
    earlier = resolved(then)
    assert earlier["strategy"].pop("weak_view") == "recipe"
    assert recipe_hash(earlier) == recipe_hash(then) != recipe_hash(now)
    assert not changes(earlier, then)
    assert [(change.old, change.new) for change in changes(earlier, now)] == [("recipe", "geometry")]


@pytest.mark.parametrize("name", ["luque2023", "fused"])
def test_a_run_draws_unlabeled_samples_without_changes_of_intensities(name):
    pose = {"name": name, "probability": 1.0, "scaling": [1, 1], "rotation": 0, "flip_axes": []}

    def images(strategy, augmentation):
        made = plan(strategy, augmentation)
        batches = training_batches(made, fill_store(made, Reporter()), Runtime("cpu", "32"))
        (batch,) = batches.steps(4, 5)
        return batch.labeled.image, batch.unlabeled.image

    labeled, weak = images("fixmatch", pose)
    plain = images("fixmatch", "none")
    as_augmented = images({"name": "fixmatch", "weak_view": "recipe"}, pose)
    assert torch.equal(weak, plain[1])
    assert torch.equal(labeled, as_augmented[0])
    assert not torch.equal(labeled, plain[0])
    assert not torch.equal(weak, as_augmented[1])


def test_an_augmentation_without_weak_views_is_told():
    without = load_recipe({**RECIPE, "strategy": "fixmatch"}).with_component("augmentation", Noisy())
    note = "asks for weak views, but augmentation"
    made = make_plan(without)
    (told,) = [one for one in made.notes if note in one]
    assert told.startswith("strategy fixmatch asks for weak views")
    assert weak_augmentation(made.components, made.recipe) is None
    for strategy in ("cps", {"name": "fixmatch", "weak_view": "recipe"}):
        fine = make_plan(load_recipe({**RECIPE, "strategy": strategy}).with_component("augmentation", Noisy()))
        assert not [one for one in fine.notes if note in one]
    assert not [one for one in plan("fixmatch").notes if note in one]


def test_no_augmentation_is_its_own_weak_view():
    made = plan("fixmatch", "none")
    assert isinstance(weak_augmentation(made.components, made.recipe), NoAugmentation)
