"""Weak views of unlabeled samples: the recipe's augmentation without its changes of intensities."""

from semiseg.interfaces.augmentation import Augmentation, BatchAugmentation
from semiseg.recipe.component_slots import component_title
from semiseg.recipe.components import Components
from semiseg.recipe.schema import Recipe


def weak_augmentation(components: Components, recipe: Recipe) -> Augmentation | None:
    """Return the augmentation of weak views; None if the strategy asks for none, or there is none to be had."""
    if not components.strategy.weak_unlabeled(components.strategy_options):
        return None
    weak = components.augmentation.geometric()
    on_workers = recipe.training.augmentation_on == "workers"
    return weak if on_workers or isinstance(weak, BatchAugmentation) else None


def weak_note(components: Components, recipe: Recipe) -> list[str]:
    """Return a note if the strategy asks for weak views and the augmentation cannot make them."""
    strategy = components.strategy
    if not (components.needs.unlabeled.uses and strategy.weak_unlabeled(components.strategy_options)):
        return []
    if weak_augmentation(components, recipe) is not None:
        return []
    method, augmentation = component_title(recipe.strategy.name), component_title(recipe.augmentation.name)
    return [
        f"strategy {method} asks for weak views, but augmentation {augmentation} cannot leave out its changes of"
        " intensities: unlabeled samples have them, as with strategy.weak_view=recipe"
    ]
