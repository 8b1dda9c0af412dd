"""The recipe nnunet_like has nnU-Net's numbers, and a network with deep supervision has nnU-Net's outputs."""

from pathlib import Path

import torch

from semiseg import load_recipe
from semiseg.plugin import MoreScales, Outputs, Task
from semiseg.registry import load
from semiseg_nnunet.nnunet_plain import NNUNetPlain

RECIPE = Path(__file__).parents[1] / "recipes" / "nnunet_like.yaml"


def test_it_trains_as_nnunet_does(monkeypatch):
    """nnUNetTrainer of nnU-Net 2: __init__, configure_optimizers and train_step."""
    monkeypatch.setenv("HIPPOCAMPUS_ROOT", "/data")
    recipe = load_recipe(RECIPE)
    training = recipe.training
    optimizer = training.optimizer
    steps = training.examples_per_epoch / training.batch_size.total
    assert (training.epochs, steps, training.gradient_clip) == (1000, 250, 12)
    assert (optimizer.name, optimizer.lr, optimizer.momentum, optimizer.weight_decay) == ("sgd", 0.01, 0.99, 3e-5)
    assert optimizer.nesterov
    assert (training.schedule.name, training.schedule.power) == ("poly", 0.9)
    oversampled = sum(index >= round(2 * (1 - 0.33)) for index in range(2))
    assert training.foreground_share * training.batch_size.total == oversampled
    assert (recipe.augmentation.name, recipe.augmentation.values) == ("nnunet", {})
    options = load("strategy", recipe.strategy.name).Options(**recipe.strategy.values)
    assert (options.loss, options.deep_supervision) == ("dice_ce", True)


def test_logits_are_at_every_level_but_the_lowest_of_the_decoder():
    """nnU-Net's decoder has an output per stage but the bottom; the weight of the coarsest output is 0."""
    task = Task(1, ("background", "anterior", "posterior"), (40, 56, 40))
    backbone = NNUNetPlain(NNUNetPlain.Options(features_per_stage=(2, 4, 4, 4)))
    network = MoreScales(backbone, task, for_supervision=True)
    outputs = network(torch.zeros((1, 1, *task.patch_size)))
    assert isinstance(outputs, Outputs)
    stages = len(backbone.topology(task).strides)
    assert (stages, 1 + len(outputs.scales)) == (4, stages - 2)
    assert network.network.levels[1].factor == (2, 2, 2)
    assert all(scale.shape == outputs.logits.shape for scale in outputs.scales)
