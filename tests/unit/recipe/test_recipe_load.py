from pathlib import Path

import pytest

from semiseg.errors import RecipeError
from semiseg.interfaces.augmentation import Augmentation
from semiseg.recipe.dump import resolved
from semiseg.recipe.load import load_recipe


class Identity(Augmentation):
    def __call__(self, image, label, patch_size):
        return image, label


def problems(source, *overrides):
    with pytest.raises(RecipeError) as raised:
        load_recipe(source, overrides)
    assert raised.value.exit_code == 2
    return [str(problem) for problem in raised.value.problems]


def test_a_recipe_is_what_is_written_and_the_defaults(minimal):
    recipe = load_recipe(minimal)

    assert (recipe.name, recipe.seed, recipe.training.epochs) == ("tiny", 0, 3)
    assert recipe.dataset.name == "shelf"
    assert recipe.dataset.values == {"root": "/data"}
    assert recipe.strategy.values == {"phi": 0.25, "wait_share": 0.1}
    assert recipe.training.patch_size == (128, 128, 128)
    assert recipe.notes == ()


def test_a_recipe_knows_where_it_was_written(minimal):
    recipe = load_recipe(minimal, ["split.test=3"])

    assert recipe.where("training.epochs") == "x.yaml:15"
    assert recipe.where("training.patch_size") == "x.yaml:14"
    assert recipe.where("split.test") == "--set split.test=3"
    assert recipe.where("inference.overlap") == "x.yaml"


def test_notes_of_overrides_stay_with_the_recipe(minimal):
    assert load_recipe(minimal, ["strategy.name=supervised"]).notes == (
        "--set strategy.name=supervised dropped strategy.phi=0.25, strategy.wait_share=0.1",
    )


KNOWN = "name, seed, dataset, split, preprocessing, augmentation, backbone, strategy, training, inference, evaluation"
TRAINING = (
    "epochs, examples_per_epoch, patch_size, outputs, initial_weights, batch_size, foreground_share, dice, step, "
    "optimizer, gradient_clip, ema, schedule, precision, device, compile, deterministic, workers, augmentation_on, "
    "validation, checkpoint"
)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "  epochs: 3",
            "  epohcs: 3",
            "Unknown key 'epohcs' (x.yaml:15). Did you mean 'epochs'?\n    Known keys of training: " + TRAINING + ".",
        ),
        (
            "name: tiny",
            "name: tiny\nsede: 3",
            f"Unknown key 'sede' (x.yaml:2). Did you mean 'seed'?\n    Known keys: {KNOWN}.",
        ),
        (
            "name: tiny",
            "name: tiny\npatch_size: [8, 8, 8]",
            f"Unknown key 'patch_size' (x.yaml:2). Did you mean 'training.patch_size'?\n    Known keys: {KNOWN}.",
        ),
        ("name: tiny", "name: tiny\nzzz: 1", f"Unknown key 'zzz' (x.yaml:2).\n    Known keys: {KNOWN}."),
        ("name: tiny", "name: tiny\n3: 1", f"Unknown key '3' (x.yaml:2).\n    Known keys: {KNOWN}."),
        (
            "  epochs: 3",
            "  optimizer: {lr: 1, nme: sgd}",
            "Unknown key 'nme' (x.yaml:15). Did you mean 'name'?\n"
            "    Known keys of training.optimizer: name, lr, weight_decay, momentum, nesterov.",
        ),
        (
            "  phi: 0.25",
            "  phy: 0.25",
            "Unknown key 'phy' (x.yaml:12). Did you mean 'phi'?\n"
            "    Options of cps: name, networks, preset, loss, deep_supervision, weak_view, phi, pseudo_mean, "
            "wait_epochs, wait_share, pseudo_loss, pseudo_on.",
        ),
        (
            "  root: /data",
            "  rot: /data",
            "Unknown key 'rot' (x.yaml:4). Did you mean 'root'?\n"
            "    Options of shelf: name, adopted, pseudo_labels, pseudo_confidence, root, label_map, note, cache.",
        ),
    ],
)
def test_an_unknown_key_is_answered_with_its_line_the_nearest_key_and_the_known_ones(edited, old, new, message):
    assert message in problems(edited(old, new))


@pytest.mark.parametrize(
    ("new", "message"),
    [
        ("epochs: ten", "training.epochs (x.yaml:15) must be a whole number, not 'ten'."),
        ("epochs: 1.5", "training.epochs (x.yaml:15) must be a whole number, not 1.5."),
        ("epochs: 0", "training.epochs (x.yaml:15) must be more than 0, not 0."),
        ("epochs:", "training.epochs (x.yaml:15) is empty; it must be a whole number."),
        ("epochs: {a: 1}", 'training.epochs (x.yaml:15) must be a whole number, not {"a": 1}.'),
        ("optimizer: {lr: .nan}", "training.optimizer.lr (x.yaml:15) must be a finite number, not NaN."),
        ("optimizer: {momentum: 1}", "training.optimizer.momentum (x.yaml:15) must be less than 1, not 1."),
        ("optimizer: sgd", "training.optimizer (x.yaml:15) must be a block of keys, not 'sgd'."),
        ("patch_size: [64]", "training.patch_size (x.yaml:15) has 1 entry; expected at least 2."),
        ("patch_size: [8, 8, 8, 8]", "training.patch_size (x.yaml:15) has 4 entries; expected at most 3."),
        ("patch_size: [64, 64, 4]", "training.patch_size.2 (x.yaml:15) must be at least 8, not 4."),
        ("patch_size: 64", "training.patch_size (x.yaml:15) must be 'auto' or 'auto-2d' or a list, not 64."),
        ("deterministic: maybe", "training.deterministic (x.yaml:15) must be true or false, not 'maybe'."),
        (
            "schedule: {name: cosin}",
            "training.schedule.name (x.yaml:15) must be 'cosine', 'poly' or 'constant', not 'cosin'."
            " Did you mean 'cosine'?",
        ),
        ("patch_size: [64, 64, 1000000]", "training.patch_size.2 (x.yaml:15) must be at most 4,096, not 1000000."),
        ("epochs: 1000000000000", "training.epochs (x.yaml:15) must be at most 1,000,000,000, not 1000000000000."),
        ("workers: -1", "training.workers (x.yaml:15) must be at least 0 or 'auto', not -1."),
        (
            "batch_size: {labeled: 0, unlabeled: 0}",
            "training.batch_size (x.yaml:15): a step needs at least one sample.",
        ),
    ],
)
def test_a_wrong_value_is_told_in_plain_words_with_its_line(edited, new, message):
    assert problems(edited("epochs: 3", new)) == [message]


def test_large_numbers_that_are_within_their_bounds_are_taken(minimal):
    recipe = load_recipe(minimal, [f"seed={2**63 - 1}", "training.epochs=1000000000", "training.patch_size=[8,8,4096]"])
    assert (recipe.seed, recipe.training.epochs) == (2**63 - 1, 10**9)
    assert recipe.training.patch_size == (8, 8, 4096)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", "2**63"),
        ("seed", "-2**63 - 1"),
        ("seed", "10**5000"),
        ("split.seed", "10**5000"),
        ("split.draw", "10**5000"),
        ("split.test", "10**5000"),
        ("training.epochs", "10**5000"),
        ("training.patch_size.0", "10**5000"),
        ("training.batch_size.labeled", "10**10"),
        ("training.validation.every", "10**10"),
        ("training.workers", "10**10"),
        ("training.step.micro_batch", "10**10"),
        ("inference.batch_size", "10**10"),
        ("name", "10**5000"),
    ],
)
def test_whole_numbers_have_bounds_also_from_python(minimal, key, value):
    data = resolved(load_recipe(minimal))
    *blocks, last = key.split(".")
    block = data
    for name in blocks:
        block = block[name]
    block[int(last) if last.isdecimal() else last] = eval(value)  # pytest cannot write such numbers
    (said,) = problems(data)
    assert said.startswith(f"{key} must be ")
    assert len(said) < 200


def test_a_name_that_no_file_can_hold_is_refused_also_from_python(minimal):
    (said,) = problems(resolved(load_recipe(minimal)) | {"name": "a\ud800"})
    assert "an unpaired surrogate" in said
    said.encode()


@pytest.mark.parametrize(
    ("new", "messages"),
    [
        ("labeled: some", ["split.labeled (x.yaml:7) must be a whole number, a list or 'all', not 'some'."]),
        (
            "labeled: [001, a]",
            ['split.labeled.0 (x.yaml:7) must be text, not 1.\n    Put it in quotes: "1".'],
        ),
        ("labeled: al", ["split.labeled (x.yaml:7) must be a whole number, a list or 'all', not 'al'."
                         " Did you mean 'all'?"]),
        (
            "total: all",
            [
                "split.labeled is missing (x.yaml:5).\n"
                "    Training cases whose labels are used; smaller counts are subsets of larger ones."
            ],
        ),
    ],
)  # fmt: skip
def test_where_several_kinds_of_value_would_do_one_sentence_tells_all(edited, new, messages):
    assert problems(edited("labeled: 4", new)) == messages


def test_a_case_id_that_looks_like_a_number_wants_quotes(edited):
    assert load_recipe(edited("labeled: 4", "labeled: ['001', a]")).split.labeled == ["001", "a"]


@pytest.mark.parametrize("precision", ["32", "'32'"])
def test_the_quotes_of_precision_32_may_be_left_out(edited, precision):
    assert load_recipe(edited("epochs: 3", f"precision: {precision}")).training.precision == "32"


@pytest.mark.parametrize("name", ["a/b", "..", "' '", "'a\\b'"])
def test_a_name_has_to_do_for_a_folder(edited, name):
    (problem,) = problems(edited("name: tiny", f"name: {name}"))

    assert problem.startswith("name (x.yaml:1): ")
    assert problem.endswith("is not a valid folder name.")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "  name: cps",
            "  name: cpss",
            "Unknown strategy 'cpss' (x.yaml:11). Did you mean 'cps'?\n    Installed: ",
        ),
        ("backbone: unet", "backbone: unett", "Unknown backbone 'unett' (x.yaml:9). Did you mean 'unet'?"),
        (
            "backbone: unet",
            "backbone: 3",
            "backbone (x.yaml:9) must be the name of a backbone, not 3.\n    `semiseg plugins` lists the names.",
        ),
        ("backbone: unet", "backbone:", "backbone (x.yaml:9) must be the name of a backbone, not None."),
        (
            "  phi: 0.25",
            "  networks: {student_a: {name: unet, channels: [8]}}",
            "strategy.networks.student_a.channels (x.yaml:12) has 1 entry; expected at least 2.",
        ),
        ("  phi: 0.25", "  wait_epochs: 3", "strategy (x.yaml:10): give wait_epochs or wait_share, not both."),
        ("  phi: 0.25", "  phi: -1", "strategy.phi (x.yaml:12) must be at least 0, not -1."),
        (
            "  phi: 0.25",
            "  networks: {student_c: unet}",
            "Unknown role 'student_c' in strategy.networks (x.yaml:12). Did you mean 'student_b'?\n"
            "    Roles of cps: student_a, student_b.",
        ),
        (
            "  epochs: 3",
            "  epochs: 3\nevaluation:\n  metrics:\n    - dice\n    - {name: dice}",
            "Metric 'dice' is listed twice (x.yaml:18 and x.yaml:19).\n    Remove one of the two.",
        ),
        (
            "  epochs: 3",
            "  epochs: 3\nevaluation: {metrics: []}",
            "evaluation.metrics (x.yaml:16) has 0 entries; expected at least 1.",
        ),
    ],
)
def test_components_and_their_options_are_checked_with_lines(edited, old, new, message):
    (problem,) = problems(edited(old, new))

    assert problem.startswith(message)


def test_all_problems_come_in_one_error(write):
    text = (
        "name: x\ndataset: {name: shelf, root: '${SEMISEG_TEST_UNSET}'}\nsplit: {labeled: -1}\nbackbone: unett\n"
        "strategy: {name: cps, ph: 1}\ntraining: {epohcs: 3}\n"
    )
    told = problems(write(text), "training.epochs=ten")

    assert [problem.splitlines()[0] for problem in told] == [
        "dataset.root (x.yaml:2) uses the environment variable SEMISEG_TEST_UNSET, which is not set.",
        "split.labeled (x.yaml:3) must be at least 0, a list or 'all', not -1.",
        "training.epochs (--set training.epochs=ten) must be a whole number, not 'ten'.",
        "Unknown key 'epohcs' (x.yaml:6). Did you mean 'epochs'?",
        "Unknown backbone 'unett' (x.yaml:4). Did you mean 'unet'?",
        "Unknown key 'ph' (x.yaml:5). Did you mean 'phi'?",
    ]


def test_a_mapping_is_a_recipe_without_lines():
    source = {"name": "x", "dataset": {"name": "shelf", "rot": "/"}, "split": {"labeled": 1}, "backbone": "unet",
              "strategy": "cps", "training": {"epohcs": 1}}  # fmt: skip

    assert [problem.splitlines()[0] for problem in problems(source)] == [
        "Unknown key 'training.epohcs'. Did you mean 'epochs'?",
        "dataset.root is missing.",
        "Unknown key 'dataset.rot'. Did you mean 'root'?",
    ]


def test_a_mapping_takes_overrides_and_is_not_written_to():
    source = {"name": "x", "dataset": {"name": "shelf", "root": "/a"}, "split": {"labeled": 1}, "backbone": "unet",
              "strategy": {"name": "cps", "phi": 1}}  # fmt: skip
    recipe = load_recipe(source, ["dataset.root=/b", "strategy.phi=2"])

    assert recipe.dataset.values == {"root": "/b"}
    assert recipe.strategy.values == {"phi": 2}
    assert source["dataset"] == {"name": "shelf", "root": "/a"}
    assert recipe.where("seed") == ""


def test_a_mapping_takes_classes_and_objects_in_place_of_names():
    made = Identity()
    source = {"name": "x", "dataset": {"name": "shelf", "root": Path("/a")}, "split": {"labeled": 1},
              "augmentation": made, "backbone": "unet", "strategy": "cps"}  # fmt: skip

    assert load_recipe(source).augmentation.name is made
    assert load_recipe({**source, "augmentation": Identity}).augmentation.name is Identity
    assert problems({**source, "augmentation": {"name": made, "axes": 1}}) == [
        "augmentation is an object, which takes no options: axes.\n"
        "    Set them when you create the object, or give its class instead."
    ]
    assert problems({**source, "backbone": made})[0].startswith("backbone must be the name of a backbone, not <")
    assert problems({**source, "augmentation": Path})[0].startswith("augmentation 'Path' is not a Augmentation")


def test_a_recipe_with_another_component_forgets_the_line_of_the_old(minimal):
    recipe = load_recipe(minimal).with_component("augmentation", Identity)

    assert recipe.augmentation.name is Identity
    assert recipe.where("augmentation.name") == ""
    assert recipe.where("backbone") == "x.yaml:9"


def test_another_strategy_comes_without_the_networks_of_the_old(edited):
    recipe = load_recipe(edited("  phi: 0.25", "  networks: {student_b: vnet}"))

    assert recipe.strategy.networks["student_b"].name == "vnet"
    assert recipe.with_component("strategy", "supervised", loss="dice_ce").strategy.networks == {}
