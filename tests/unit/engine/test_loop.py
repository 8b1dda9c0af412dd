import os
import signal
from dataclasses import replace

import pytest
import torch
from tiny_task import MadeBatches, cps
from tiny_trainer import Kill, KillingBatches

from semiseg.engine.step_modes import StepMode
from semiseg.errors import Interrupted, RunError, TrainingError
from semiseg.interfaces.losses import Term
from semiseg.interfaces.strategy import Stage
from semiseg.progress import Reporter
from semiseg.runs.checkpoint import checksum_file, file_digest, load_state, save_state
from semiseg.runs.log import JsonLog, waiting_for_data


def weights(trainer):
    return {k: v.clone() for k, v in trainer.strategy.state_dict().items()}


def assert_same(a, b):
    assert a.keys() == b.keys()
    assert [k for k in a if not torch.equal(a[k], b[k])] == []


def scores(trainer):
    records = trainer.log.read()
    for record in records:
        record.pop("seconds")
        record.pop("seconds_waited_for_data")
    return records


def test_training_lowers_the_loss_and_keeps_best_and_last(make_trainer):
    trainer = make_trainer(epochs=10)
    trainer.fit()
    records = trainer.log.read()
    assert [record["epoch"] for record in records] == list(range(1, 11))
    assert records[-1]["train"]["supervised"] < records[0]["train"]["supervised"]
    assert records[-1]["validation"]["mean_dice"] > 0.9
    best = load_state(trainer.checkpoints.weights_file("best"))
    lowest = min(records, key=lambda record: record["validation"]["loss"])
    assert best["step"] == lowest["step"]
    assert_same(load_state(trainer.checkpoints.weights_file("last"))["strategy"], weights(trainer))


def test_networks_are_looked_at_alone_at_few_validations_and_the_last(make_trainer):
    trainer = make_trainer(epochs=7)
    trainer.fit()
    records = trainer.log.read()
    assert [record["epoch"] for record in records if "networks" in record["validation"]] == [1, 2, 4, 7]
    networks = records[-1]["validation"]["networks"]
    assert list(networks) == ["student_a", "student_b"]
    score = trainer.parts.validate(lambda: None, "student_b")
    assert networks["student_b"] == pytest.approx({"bright": score.dice[0]}, abs=1e-12)


def test_a_network_that_learned_nothing_is_named_at_the_end(make_trainer):
    said = []
    reporter = Reporter()
    reporter.say = said.append
    trainer = make_trainer(epochs=4, reporter=reporter)
    honest = trainer.parts.validate

    def broken(after_case, role):
        score = honest(after_case, role)
        return replace(score, dice=(0.0,)) if role == "student_a" else score

    trainer.parts = replace(trainer.parts, validate=broken)
    trainer.fit()
    (note,) = (text for text in said if "alone reaches" in text)
    said = "student_a alone reaches a Dice of only 0.00 for bright; the best network reaches "
    assert note.startswith(f"Note: on the validation cases, {said}")


@pytest.mark.parametrize("at", [1, 3, 4, 7, 11])
def test_killed_at_any_step_it_continues_bit_for_bit(make_trainer, at):
    whole = make_trainer("whole")
    whole.fit()
    with pytest.raises(Kill):
        make_trainer("killed", batches=KillingBatches(at)).fit()
    resumed = make_trainer("killed")
    resumed.fit()
    assert_same(weights(resumed), weights(whole))
    assert scores(resumed) == scores(whole)
    for name in ("best", "last"):
        a, b = (load_state(t.checkpoints.weights_file(name)) for t in (resumed, whole))
        assert a["step"] == b["step"]
        assert_same(a["strategy"], b["strategy"])


class Listener(Reporter):
    def __init__(self):
        self.heard = []

    def say(self, text):
        self.heard.append(text)


def test_a_resumed_run_keeps_its_step_mode_and_says_so(make_trainer):
    mode, said = StepMode("alternating"), Listener()
    whole = make_trainer("whole", mode=mode, reporter=said)
    whole.fit()
    assert said.heard[0] == "Step mode: alternating on the whole batch (a test)."
    said.heard.clear()
    with pytest.raises(Kill):
        make_trainer("killed", mode=mode, batches=KillingBatches(7)).fit()
    resumed = make_trainer("killed", mode=StepMode("joint", 1), reporter=said)
    resumed.fit()
    assert resumed.choice.mode == mode
    assert said.heard[0] == "Resuming after step 7 of 12; step mode as before: alternating on the whole batch."
    assert_same(weights(resumed), weights(whole))
    assert load_state(resumed.checkpoints.steps()[-1])["step_mode"] == {
        "name": "alternating",
        "micro_batch": None,
        "reason": "a test",
    }


def test_a_checkpoint_older_than_the_kill_cuts_the_log_back(make_trainer):
    whole = make_trainer("whole")
    whole.fit()
    first = make_trainer("killed", batches=KillingBatches(2))
    with pytest.raises(Kill):
        first.fit()
    second = make_trainer("killed", batches=KillingBatches(10), minutes=60)  # two epochs on, no checkpoint
    with pytest.raises(Kill):
        second.fit()
    assert len(second.log.read()) == 2
    third = make_trainer("killed")
    third.fit()
    assert scores(third) == scores(whole)


def test_a_damaged_checkpoint_is_passed_over(make_trainer):
    whole = make_trainer("whole")
    whole.fit()
    with pytest.raises(Kill):
        make_trainer("killed", batches=KillingBatches(6)).fit()
    resumed = make_trainer("killed")
    newest = resumed.checkpoints.steps()[-1]
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 1
    newest.write_bytes(data)
    resumed.fit()
    assert_same(weights(resumed), weights(whole))


def junk(lines):
    lines[1] = b"\xff\xfe" + lines[1]


def a_bit(lines):
    lines[1] = lines[1].replace(b'{"epoch"', b'{"gpoch"')


def a_figure_that_is_none(lines):
    lines[1] = lines[1].replace(b'"seconds": ', b'"seconds": "x')[:-1] + b'"}'


def half_a_line(lines):
    lines[1] = lines[1][:40]


@pytest.mark.parametrize("damage", [junk, a_bit, a_figure_that_is_none, half_a_line])
def test_a_damaged_line_of_the_log_is_passed_over_and_said_and_costs_no_run(make_trainer, damage):
    whole, said = make_trainer("whole"), Listener()
    whole.fit()
    with pytest.raises(Kill):
        make_trainer("killed", batches=KillingBatches(10)).fit()
    resumed = make_trainer("killed", reporter=said)
    lines = resumed.log.path.read_bytes().split(b"\n")
    length = len(lines[1])
    damage(lines)
    lines[1] = lines[1][:length].ljust(length)  # as long as before, so that what follows is where it was
    resumed.log.path.write_bytes(b"\n".join(lines))
    resumed.fit()
    assert_same(weights(resumed), weights(whole))
    assert scores(resumed) == [scores(whole)[0], scores(whole)[2]]
    assert [text for text in said.heard if "log.jsonl" in text] == [
        f"Note: {resumed.log.path} is damaged; skipped: line 2."
    ]


def test_what_is_written_after_a_line_that_was_cut_off_is_a_line_of_its_own(tmp_path):
    log = JsonLog(tmp_path / "log.jsonl")
    log.write({"epoch": 1, "train": {"loss": float("nan")}})
    with log.path.open("a") as file:
        file.write('{"epoch": 2, "tr')
    log.write({"epoch": 2, "train": {}})
    assert log.read() == [{"epoch": 1, "train": {"loss": None}}, {"epoch": 2, "train": {}}]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda state: state.pop("strategy"), "it lacks 'strategy'"),
        (lambda state: state.pop("optimizers"), "it lacks 'optimizers'"),
        (lambda state: state.pop("log_size"), "it lacks 'log_size'"),
        (lambda state: state["strategy"].popitem(), "Missing key"),
        (lambda state: state.update(optimizers={"student_a": 1, "student_b": 2}), "does not match"),
        (lambda state: state.update(step_mode=[]), "does not match"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_told_in_a_sentence(make_trainer, change, said):
    with pytest.raises(Kill):
        make_trainer("killed", batches=KillingBatches(6)).fit()
    resumed = make_trainer("killed")
    newest = resumed.checkpoints.steps()[-1]
    state = load_state(newest)
    change(state)
    save_state(newest, state)
    with pytest.raises(RunError) as caught:
        resumed.fit()
    (problem,) = caught.value.problems
    assert problem.where == str(newest)
    assert problem.what.startswith("it does not match recipe.yaml: ")
    assert said in problem.what


def test_a_checkpoint_that_is_a_list_counts_as_damaged(make_trainer):
    whole = make_trainer("whole")
    whole.fit()
    with pytest.raises(Kill):
        make_trainer("killed", batches=KillingBatches(6)).fit()
    resumed = make_trainer("killed")
    newest = resumed.checkpoints.steps()[-1]
    torch.save([1], newest)
    checksum_file(newest).write_text(file_digest(newest))
    resumed.fit()
    assert_same(weights(resumed), weights(whole))


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_saves_and_says_how_to_go_on(make_trainer, signum):
    class Signaling(MadeBatches):
        def steps(self, start, stop):
            for step, batch in zip(range(start, stop), super().steps(start, stop), strict=True):
                if step == 5:
                    os.kill(os.getpid(), signum)
                yield batch

    with pytest.raises(Interrupted, match="--resume") as caught:
        make_trainer("stopped", batches=Signaling(), minutes=60).fit()
    assert caught.value.signum == signum
    whole, resumed = make_trainer("whole"), make_trainer("stopped")
    whole.fit()
    resumed.fit()
    assert_same(weights(resumed), weights(whole))


def test_a_loss_that_is_not_finite_stops_names_the_cases_and_keeps_the_checkpoint(make_trainer):
    trainer = make_trainer(batches=MadeBatches(poison_at=5))
    with pytest.raises(TrainingError, match="case0, case1, case2, case3") as caught:
        trainer.fit()
    assert "Step 5 (epoch 2)" in str(caught.value)
    state = load_state(trainer.checkpoints.steps()[-1])
    assert state["step"] == 5
    assert all(torch.isfinite(v).all() for v in state["strategy"].values())


def test_a_gradient_that_is_not_finite_keeps_the_checkpoint(make_trainer):
    strategy = cps(wait_share=0.3)
    plain = strategy.losses

    def losses(batch, step):
        for given in plain(batch, step):
            weight = strategy.networks["student_b"].layers[0].weight
            kink = (weight - weight.detach()).square().sum().sqrt()  # 0, and its gradient is 0 / 0
            yield (
                replace(given, terms={**given.terms, "kink": Term(kink.expand(len(batch.labeled)), batch.labeled)})
                if step.index == 5
                else given
            )

    strategy.losses = losses
    trainer = make_trainer(strategy=strategy)
    with pytest.raises(TrainingError, match=r"Step 5 \(epoch 2\): the loss is finite, .*student_b is not"):
        trainer.fit()
    state = load_state(trainer.checkpoints.steps()[-1])
    assert state["step"] == 5
    assert all(torch.equal(p, state["strategy"][name]) for name, p in trainer.strategy.named_parameters())
    assert all(torch.isfinite(v).all() for v in state["strategy"].values())


@pytest.mark.parametrize("validation", [True, False])
@pytest.mark.parametrize("at", [7, 11])
def test_weights_that_are_not_finite_are_never_saved(make_trainer, at, validation):
    strategy = cps(wait_share=0.3)

    def ruin(step):
        if step.index == at:
            strategy.networks["student_a"].layers[0].weight[0] = float("nan")

    strategy.after_step = ruin
    trainer = make_trainer(strategy=strategy, validation=validation)
    with pytest.raises(TrainingError, match=f"Weights are not finite after step {at + 1}: student_a.layers.0.weight"):
        trainer.fit()
    files = sorted(trainer.checkpoints.folder.glob("*.pt"))
    assert load_state(trainer.checkpoints.steps()[-1])["step"] == at
    assert trainer.checkpoints.weights_file("last") not in files
    for path in files:
        assert all(torch.isfinite(v).all() for v in load_state(path)["strategy"].values()), path


def test_a_prediction_that_is_not_finite_is_no_background(make_trainer):
    trainer = make_trainer()
    with torch.no_grad():
        trainer.strategy.networks["student_b"].layers[0].weight[0] = float("nan")
    with pytest.raises(TrainingError, match="probabilities are not finite"):
        trainer.parts.validate(lambda: None, None)
    trainer.parts.validate(lambda: None, "student_a")


def test_a_best_of_steps_that_were_lost_is_not_kept(make_trainer):
    """Done again, the lost steps come to another score, as they may on a GPU."""

    def scored(name, losses, **options):
        trainer = make_trainer(name, **options)
        honest, told = trainer.parts.validate, iter(losses)
        trainer.parts = replace(
            trainer.parts,
            validate=lambda after, role: replace(honest(after, role), loss=0.0 if role else next(told)),
        )
        return trainer

    def whole(name, losses):
        trainer = scored(name, losses)
        trainer.fit()
        return trainer

    with pytest.raises(Kill):
        scored("killed", [0.5], batches=KillingBatches(6)).fit()
    with pytest.raises(Kill):
        scored("killed", [0.1], batches=KillingBatches(10), minutes=60).fit()  # a better one, and no checkpoint
    resumed, other = whole("killed", [0.7, 0.6]), whole("other", [0.5, 0.7, 0.6])
    best, expected = (load_state(t.checkpoints.weights_file("best")) for t in (resumed, other))
    assert best["step"] == expected["step"] == min(scores(resumed), key=lambda r: r["validation"]["loss"])["step"] == 4
    assert_same(best["strategy"], expected["strategy"])


def test_without_validation_cases_best_is_last(make_trainer):
    trainer = make_trainer(validation=False)
    trainer.fit()
    best, last = (load_state(trainer.checkpoints.weights_file(name)) for name in ("best", "last"))
    assert_same(best["strategy"], last["strategy"])
    assert "validation" not in trainer.log.read()[0]


@pytest.mark.parametrize("reset", ["none", "optimizer", "all"])
def test_stages_survive_a_kill_on_their_border(make_trainer, reset):
    def staged():
        strategy = cps(wait_share=0.3)
        strategy.stages = lambda: (Stage("first", 0.5), Stage("second", 0.5, reset))
        return strategy

    whole = make_trainer("whole", strategy=staged())
    whole.fit()
    for at in (6, 7):
        name = f"killed{at}"
        with pytest.raises(Kill):
            make_trainer(name, strategy=staged(), batches=KillingBatches(at)).fit()
        resumed = make_trainer(name, strategy=staged())
        resumed.fit()
        assert_same(weights(resumed), weights(whole))


def test_bf16_autocast_trains(make_trainer):
    trainer = make_trainer(precision="bf16", epochs=6)
    trainer.fit()
    assert trainer.log.read()[-1]["validation"]["mean_dice"] > 0.8


@pytest.mark.parametrize(
    ("waited", "text"),
    [
        ([0.0, 1.0], "Steps waited for data 5% of the time."),
        ([4.0, 6.0], "Steps waited for data 33% of the time; `semis"),
    ],
)
def test_the_share_of_time_that_steps_waited_is_told(waited, text):
    records = [{"seconds": 10.0, "seconds_waited_for_data": value} for value in waited]
    assert waiting_for_data(records).startswith(text)
    assert waiting_for_data([]) == "Steps waited for data 0% of the time."
