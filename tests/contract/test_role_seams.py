"""A critic with inputs and an optimizer of its own, initial weights, and what contradicts itself in a role."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from semiseg import check, load_recipe, run
from semiseg.engine.build import build_networks
from semiseg.engine.optim import make_optimizers
from semiseg.engine.runtime import Runtime
from semiseg.errors import ComponentError, RecipeError
from semiseg.interfaces.batch import Batch, Step
from semiseg.interfaces.losses import Losses, Term
from semiseg.interfaces.roles import Role, RoleOptimizer
from semiseg.interfaces.strategy import Strategy, StrategyOptions
from semiseg.losses.named import named_loss
from semiseg.recipe import schema
from semiseg.runs.checkpoint import load_state
from semiseg.testing.steps import run_steps
from semiseg.testing.strategy import StrategyContract, make_batch
from semiseg.testing.tiny import TinyBackbone
from semiseg.types import Task


class Critic(nn.Module):
    """Judges an image with its segmentation: (b, C, *spatial) and (b, K, *spatial) give (b,) logits."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        convolution = nn.Conv2d if task.spatial_dims == 2 else nn.Conv3d
        self.first = convolution(task.in_channels + task.out_channels, 4, 3, padding=1)
        self.last = convolution(4, 1, 1)

    def forward(self, images: Tensor, probabilities: Tensor) -> Tensor:
        seen = self.first(torch.cat([images, probabilities], dim=1)).relu()
        return self.last(seen).flatten(1).mean(dim=1)


def critic_inputs(task: Task) -> tuple[tuple[int, ...], ...]:
    return (task.in_channels, *task.patch_size), (task.out_channels, *task.patch_size)


class AdversarialOptions(StrategyOptions):
    weight: float = 0.1


class Adversarial(Strategy[AdversarialOptions]):
    """A critic tells labels from predictions; on unlabeled samples the student tries to be taken for labels."""

    @classmethod
    def roles(cls, options: AdversarialOptions) -> tuple[Role, ...]:
        optimizer = RoleOptimizer(name="sgd", lr=0.01)
        critic = Role("critic", predicts=False, standalone=Critic, input_shapes=critic_inputs, optimizer=optimizer)
        return Role("student"), critic

    def losses(self, batch: Batch, step: Step) -> Iterator[Losses]:
        labeled, unlabeled = batch.divide(self.run("student", batch.images()))
        supervised = Term(named_loss(labeled, batch.labeled.label, "dice"), batch.labeled)
        fooled = self.judge(batch.unlabeled.image, self.probabilities(unlabeled), True)
        fooling = self.options.weight * Term(fooled, batch.unlabeled)
        yield Losses({"supervised": supervised, "adversarial": fooling}, "student")
        real = nn.functional.one_hot(batch.labeled.label, unlabeled.shape[1]).movedim(-1, 1).to(unlabeled)
        told = Term(self.judge(batch.labeled.image, real, True), batch.labeled)
        caught = Term(self.judge(batch.unlabeled.image, self.probabilities(unlabeled).detach(), False), batch.unlabeled)
        yield Losses({"critic": told + caught}, "critic")

    def judge(self, images: Tensor, probabilities: Tensor, is_label: bool) -> Tensor:
        verdict = self.run("critic", images, probabilities)
        wanted = torch.full_like(verdict, float(is_label))
        return nn.functional.binary_cross_entropy_with_logits(verdict, wanted, reduction="none")


class TestACritic(StrategyContract):
    @pytest.fixture
    def strategy_class(self):
        return Adversarial


SMALL = [
    "training.epochs=1",
    "training.examples_per_epoch=4",
    "training.patch_size=[16, 16, 16]",
]


def test_a_critic_is_checked_trained_and_kept_from_a_recipe(tmp_path):
    recipe = load_recipe("quickstart", SMALL).with_component("strategy", Adversarial)
    assert check(recipe, quick=True)[-1] == "No problems found."
    run(recipe, tmp_path / "run")
    state = load_state(tmp_path / "run" / "checkpoints" / "last.pt")["strategy"]
    assert {name.split(".")[1] for name in state} == {"student", "critic"}
    modalities, classes = 4, 4
    assert state["networks.critic.first.weight"].shape[1] == modalities + classes


def test_a_backbone_for_a_critic_is_refused():
    recipe = load_recipe("quickstart", SMALL).with_component("strategy", Adversarial, networks={"critic": "unet"})
    with pytest.raises(RecipeError, match=r"Role 'critic' .* has its own network and takes no backbone"):
        check(recipe, quick=True)


def test_a_role_s_optimizer_differs_from_the_recipe_s_only_where_it_says_so():
    strategy = StrategyContract.make(Adversarial, {})
    options = schema.Optimizer(name="adamw", lr=0.1, weight_decay=0.2)
    found = make_optimizers(options, strategy.networks, strategy.roles(strategy.options))
    assert type(found["student"]) is torch.optim.AdamW
    assert type(found["critic"]) is torch.optim.SGD
    assert [group["lr"] for group in found["critic"].param_groups] == [0.01]
    assert [group["weight_decay"] for group in found["critic"].param_groups] == [0.2]


def test_an_impossible_optimizer_is_told_by_check():
    class Impossible(Adversarial):
        @classmethod
        def roles(cls, options):
            student, critic = super().roles(options)
            return student, replace(critic, optimizer=RoleOptimizer(name="sgb", lr=-1.0))

    with pytest.raises(RecipeError) as raised:
        check(load_recipe("quickstart", SMALL).with_component("strategy", Impossible), quick=True)
    assert "role critic of strategy Impossible" in str(raised.value)
    assert all(key in str(raised.value) for key in ("name: ", "lr: "))


TASK = Task(2, ("background", "a", "b"), (8, 8, 8))


def networks_of(*roles, stage=0, **others):
    return build_networks(roles, {role.name: TinyBackbone() for role in roles}, TASK, seed=0, stage=stage, **others)


def pretrained(shape=(4, 2, 3, 3, 3), name="first.weight"):
    return lambda: {name: torch.full(shape, 0.5)}


@pytest.mark.parametrize("stage", [0, 1])
def test_initial_weights_replace_those_drawn_in_every_stage_and_copies_have_them(stage):
    student = Role("student", initial_weights=pretrained())
    found = networks_of(student, Role("teacher", trained=False, initialized_like="student"), stage=stage)
    drawn = networks_of(Role("student"), stage=stage)["student"]
    for network in found.values():
        assert (network.first.weight == 0.5).all()
        assert torch.equal(network.head.weight, drawn.head.weight)  # names that are missing stay as drawn
    assert not (networks_of(student, initial_weights=False)["student"].first.weight == 0.5).any()


def test_initial_weights_that_do_not_fit_are_all_named():
    def wrong():
        return {"first.weight": torch.zeros(1), "wrong.bias": torch.zeros(4)}

    with pytest.raises(ComponentError, match=r"role student .*first.weight \(1,\), which is \(4, 2.*wrong.bias \(4,\)"):
        networks_of(Role("student", initial_weights=wrong))


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"standalone": Critic, "backbone": "unet"}, "takes neither backbone nor network"),
        ({"input_shapes": critic_inputs}, "cannot predict"),
    ],
)
def test_what_contradicts_itself_is_refused(attributes, reason):
    with pytest.raises(ValueError, match=reason):
        Role("critic", **attributes)


class OneNumber(Adversarial):
    """Wrong: a mean over the batch, and nothing that says so."""

    def losses(self, batch, step):
        labeled, _ = batch.divide(self.run("student", batch.images()))
        yield Losses({"sure": Term.of_whole_batch(labeled.square().mean())}, "student")


def test_a_loss_of_the_whole_batch_is_refused_unless_declared():
    step, batches = Step(0, 1, 1), [(make_batch(), Step(0, 1, 1))]
    with pytest.raises(ComponentError, match="returns sure as a single number for the whole batch"):
        run_steps(StrategyContract.make(OneNumber, {}), batches, Runtime("cpu", "32"))
    declared = type("Declared", (OneNumber,), {"whole_batch": True})
    (told,) = run_steps(StrategyContract.make(declared, {}), [(make_batch(), step)], Runtime("cpu", "32"))
    assert told["sure"] == told["loss"]


class UnknownRole(Adversarial):
    """Wrong: there is no such role."""

    def losses(self, batch, step):
        yield Losses(
            Term(named_loss(self.run("model", batch.labeled.image), batch.labeled.label, "dice"), batch.labeled)
        )


class UpdatesUnknownRole(Adversarial):
    """Wrong: likewise, in what the loss updates."""

    def losses(self, batch, step):
        for losses in super().losses(batch, step):
            yield replace(losses, updates="model")


class Returns(Adversarial):
    """Wrong: losses is not a generator."""

    def losses(self, batch, step):
        return next(super().losses(batch, step))


@pytest.mark.parametrize(
    ("strategy_class", "error", "reason"),
    [
        (UnknownRole, ValueError, "UnknownRole has no role 'model'; its roles are student, critic"),
        (UpdatesUnknownRole, ComponentError, "updates 'model'"),
        (Returns, ComponentError, "returns its Losses"),
    ],
)
def test_a_mistake_of_an_author_is_named(strategy_class, error, reason):
    with pytest.raises(error, match=reason):
        run_steps(StrategyContract.make(strategy_class, {}), [(make_batch(), Step(0, 1, 1))], Runtime("cpu", "32"))
