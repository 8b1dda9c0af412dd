import pytest

from semiseg.errors import RecipeError
from semiseg.interfaces.roles import Role
from semiseg.interfaces.strategy import Strategy, StrategyOptions
from semiseg.recipe.components import resolve
from semiseg.recipe.load import load_recipe

BACKBONES = """
    from semiseg.interfaces.backbone import Backbone

    class Deep(Backbone):
        capabilities = frozenset({"tubes", "scales"})

        def build(self, task): ...
"""


class Scaled(Strategy):
    """Needs what no built-in backbone offers."""

    class Options(StrategyOptions):
        critic: bool = False

    requires = frozenset({"tubes"})

    @classmethod
    def roles(cls, options):
        return (Role("model"), *([Role("critic")] if options.critic else []))

    def losses(self, batch, step):
        yield from ()


def messages(recipe):
    with pytest.raises(RecipeError) as raised:
        resolve(recipe)
    return [str(problem) for problem in raised.value.problems]


def test_components_are_made_with_their_options(edited):
    components = resolve(load_recipe(edited("  phi: 0.25", "  phi: 0.25\n  networks: {student_b: vnet}")))

    assert str(components.dataset.options.root) == "/data"
    assert type(components.augmentation).__name__ == "Mirror"
    assert components.strategy.__name__ == "CrossPseudoSupervision"
    assert components.strategy_options.phi == 0.25
    assert [role.name for role in components.roles] == ["student_a", "student_b"]
    assert {role: type(backbone).__name__ for role, backbone in components.backbones.items()} == {
        "student_a": "UNet", "student_b": "VNet",
    }  # fmt: skip
    assert list(components.metrics) == ["dice", "hd95"]


def test_ready_components_are_taken_as_they_are(minimal):
    recipe = load_recipe(minimal)
    mirror = resolve(recipe).augmentation

    assert resolve(recipe.with_component("augmentation", mirror)).augmentation is mirror


def test_a_strategy_is_given_as_its_class_with_options(minimal, distribution):
    distribution("semiseg-deep", {"semiseg.backbones": {"deep": "deeps:Deep"}}, deeps=BACKBONES)
    recipe = load_recipe(minimal, ["backbone=deep"]).with_component("strategy", Scaled, critic=True)

    assert [role.name for role in resolve(recipe).roles] == ["model", "critic"]


def test_options_of_a_component_given_in_python_are_checked(minimal):
    recipe = load_recipe(minimal).with_component("strategy", Scaled, critik=True)

    assert messages(recipe) == [
        "Unknown key 'strategy.critik'. Did you mean 'critic'?\n    Options of Scaled: name, networks, preset, critic."
    ]


def test_a_backbone_without_what_the_strategy_requires_is_answered_with_those_that_have_it(minimal, distribution):
    distribution("semiseg-deep", {"semiseg.backbones": {"deep": "deeps:Deep"}}, deeps=BACKBONES)
    distribution("semiseg-broken", {"semiseg.backbones": {"broken": "nowhere_at_all:X"}})
    recipe = load_recipe(minimal).with_component("strategy", Scaled, critic=True)

    assert messages(recipe) == [
        "Backbone 'unet' (x.yaml:9) does not offer tubes, which strategy 'Scaled' requires of model, critic.\n"
        "    Installed backbones that do: deep (semiseg-deep 1.0)."
    ]


def test_a_role_s_own_backbone_is_held_to_the_same(minimal):
    recipe = load_recipe(minimal).with_component("strategy", Scaled, networks={"model": {"name": "vnet"}})

    assert messages(recipe) == [
        "Backbone 'vnet' does not offer tubes, which strategy 'Scaled' requires of model.\n"
        "    Installed backbones that do: none."
    ]


class Silent(Strategy):
    """No network of it predicts."""

    @classmethod
    def roles(cls, options):
        return (Role("model", predicts=False),)

    def losses(self, batch, step):
        yield from ()


class Speaking(Silent):
    """Nor here, but it knows how."""

    def predict(self, images):
        return self.predict_alone("model", images)


def test_a_strategy_that_could_not_predict_is_refused(minimal):
    recipe = load_recipe(minimal)

    assert messages(recipe.with_component("strategy", Silent)) == [
        "Strategy 'Silent' has no predicting role: it could be trained but not used.\n"
        "    In its code, set predicts=True on a role, or override predict."
    ]
    assert resolve(recipe.with_component("strategy", Speaking)).strategy is Speaking


def test_a_strategy_can_not_be_given_ready_made(minimal):
    recipe = load_recipe(minimal).with_component("strategy", Scaled(Scaled.Options(), {}))

    assert messages(recipe)[0].startswith("strategy must be the name of a strategy, not Scaled(")
