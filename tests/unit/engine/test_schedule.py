import pytest
import torch

from semiseg.engine.optim import learning_rate, make_optimizer
from semiseg.engine.schedule import TrainingSchedule
from semiseg.errors import ComponentError
from semiseg.interfaces.strategy import Stage
from semiseg.recipe import schema


def test_the_study_s_epoch_is_250_steps():
    timetable = TrainingSchedule((Stage(),), epochs=1000, examples=1000, batch=4, seed=0)
    assert (timetable.epoch_length, timetable.total) == (250, 250_000)
    assert timetable.step(250).epoch == 1
    assert timetable.step(249).epoch == 0


def test_cosine_is_torch_s_cosine():
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=0.3)
    peer = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=50)
    for step in range(50):
        assert learning_rate(schema.Schedule(), 0.3, step, 50, 10) == pytest.approx(peer.get_last_lr()[0], abs=1e-12)
        optimizer.step()
        peer.step()
    assert learning_rate(schema.Schedule(), 0.3, 50, 50, 10) == pytest.approx(0)


def test_a_rate_that_changes_with_epochs_is_torch_s_cosine_over_epochs():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    peer = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=5)
    for epoch in range(5):
        for step in range(10 * epoch, 10 * (epoch + 1)):
            rate = learning_rate(schema.Schedule(per="epoch"), 0.3, step, 50, 10)
            assert rate == pytest.approx(peer.get_last_lr()[0], abs=1e-12)
        optimizer.step()
        peer.step()


def test_poly_and_constant():
    assert learning_rate(schema.Schedule(name="poly", power=2), 1.0, 5, 10, 2) == pytest.approx(0.25)
    assert learning_rate(schema.Schedule(name="constant"), 1.0, 5, 10, 2) == 1.0


def test_stages_share_the_steps_and_a_schedule_goes_through_those_that_keep_the_optimizer():
    stages = (Stage("a", 0.25), Stage("b", 0.25), Stage("c", 0.5, "optimizer"))
    timetable = TrainingSchedule(stages, epochs=4, examples=10, batch=1, seed=0)
    spans = timetable.spans
    assert [(s.start, s.stop) for s in spans] == [(0, 10), (10, 20), (20, 40)]
    assert [(s.schedule_start, s.schedule_stop) for s in spans] == [(0, 20), (0, 20), (20, 40)]
    step = timetable.step(15)
    assert (step.stage, step.stage_index, step.progress) == ("b", 5, 0.5)


def test_shares_have_to_add_up():
    with pytest.raises(ComponentError, match=r"add up to 0\.5"):
        TrainingSchedule((Stage(share=0.5),), epochs=1, examples=1, batch=1, seed=0)


def test_adam_adds_weight_decay_to_the_gradient_and_adamw_does_not():
    results = {}
    for name in ("adam", "adamw"):
        parameter = torch.nn.Parameter(torch.ones(1))
        optimizer = make_optimizer(schema.Optimizer(name=name, lr=0.1, weight_decay=0.5), [parameter])
        parameter.grad = torch.zeros(1)
        optimizer.step()
        results[name] = parameter.item()
    # Adam's first step is lr * sign(gradient), the gradient here being the decay alone; AdamW decays by lr * decay.
    assert results["adam"] == pytest.approx(0.9)
    assert results["adamw"] == pytest.approx(0.95)


def test_frozen_parameters_are_left_out():
    frozen = torch.nn.Parameter(torch.ones(1), requires_grad=False)
    trained = torch.nn.Parameter(torch.ones(1))
    optimizer = make_optimizer(schema.Optimizer(), [frozen, trained])
    assert [p is trained for group in optimizer.param_groups for p in group["params"]] == [True]
