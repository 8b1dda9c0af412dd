"""Networks start from an earlier run's or a file's weights, and what does not match is drawn and told."""

from dataclasses import replace

import pytest
import torch
from helpers_initial_weights import a_run, changed, equal, networks, planned
from safetensors.torch import save_file

from semiseg.engine.build import build_networks
from semiseg.errors import RecipeError, RunError, TrainingError
from semiseg.interfaces.roles import Role
from semiseg.io.json import read_json
from semiseg.pipeline.initial_weights import weight_files
from semiseg.pipeline.initial_weights.kept import from_folder, keep
from semiseg.pipeline.plan import make_plan
from semiseg.recipe.load import load_recipe
from semiseg.runs.folder import RunFolder
from semiseg.strategies.supervised import Supervised
from semiseg.testing.tiny import TinyBackbone


def refused(source, **changes):
    """Return what is wrong with initial weights: each problem, and what to do."""
    with pytest.raises(RecipeError) as raised:
        planned(source, **changes)
    return [(problem.what, problem.fix) for problem in raised.value.problems]


def outputs(plan):
    """Return the tensors of the model whose size depends on the classes, from one more class."""
    more = {**plan.task.regions, "x": (1, 2)} if plan.task.regions else {}
    wider = replace(plan.task, classes=(*plan.task.classes, "x"), regions=more)
    with torch.device("meta"):
        role, backbone = plan.components.roles[0], plan.components.backbones["model"]
        own, other = role.build(backbone, plan.task).state_dict(), role.build(backbone, wider).state_dict()
    return {name for name in own if own[name].shape != other[name].shape}


class TestFromARun:
    def test_all_weights_are_taken(self, tmp_path):
        source = a_run(tmp_path / "run")["model"]
        plan = planned(tmp_path / "run")
        assert equal(networks(plan)["model"], source)
        assert not equal(networks(planned())["model"], source)
        n = len(source)
        assert plan.initial.notes == (f"model starts from model of run {tmp_path}/run (best): {n} of {n} tensors",)

    def test_the_last_weights_are_taken_if_asked_for(self, tmp_path):
        source = a_run(tmp_path / "run", checkpoint="last")["model"]
        plan = planned({"path": tmp_path / "run", "checkpoint": "last"})
        assert equal(networks(plan)["model"], source)
        ((what, _),) = refused(tmp_path / "run")
        assert what == f"training.initial_weights: {tmp_path}/run has no best weights yet."

    def test_output_layers_of_other_classes_are_as_the_seed_draws_them(self, tmp_path):
        classes = ["background", "core", "cyst", "enhancing"]  # as many as here, one with another name
        source = a_run(tmp_path / "run", record={"classes": classes})["model"]
        plan, drawn = planned(tmp_path / "run"), networks(planned())["model"]
        found, heads = networks(plan)["model"], outputs(plan)
        assert heads
        assert all(torch.equal(found[name], (drawn if name in heads else source)[name]) for name in found)
        assert any(not torch.equal(drawn[name], source[name]) for name in heads)
        (note,) = [note for note in plan.notes if note.startswith("drawn anew in model: ")]
        assert note.endswith(f"(outputs {', '.join(classes)} there, {', '.join(plan.info.classes)} here)")

    def test_regions_are_not_the_classes_even_if_there_are_as_many(self, tmp_path):
        a_run(tmp_path / "run")
        regions = {"whole": ["edema", "enhancing"], "a": ["edema"], "b": ["enhancing"], "c": ["necrosis"]}
        recipe = changed(initial_weights=tmp_path / "run", outputs="regions") | {"evaluation": {"regions": regions}}
        plan = make_plan(load_recipe(recipe))
        assert plan.task.out_channels == len(plan.task.classes)
        assert {drawn.name for drawn in plan.initial.starts[0].match.drawn} == outputs(plan)
        assert any(note.endswith("edema, enhancing there, whole, a, b, c here)") for note in plan.notes)

    def test_output_layers_are_drawn_on_request(self, tmp_path):
        a_run(tmp_path / "run")
        plan = planned({"path": tmp_path / "run", "heads": "new"})
        assert {drawn.name for drawn in plan.initial.starts[0].match.drawn} == outputs(plan)

    def test_roles_of_the_same_name_and_otherwise_the_first_that_predicts(self, tmp_path):
        pair = a_run(tmp_path / "pair", strategy={"name": "cps"})
        same = planned(tmp_path / "pair", strategy={"name": "cps"})
        assert all(equal(networks(same)[role], pair[role]) for role in ("student_a", "student_b"))
        assert not any("start equal" in note for note in same.notes)

        alone = planned(tmp_path / "pair")
        assert equal(networks(alone)["model"], pair["student_a"])
        assert f"run {tmp_path}/pair has no role model, so model starts from its student_a" in alone.notes
        assert equal(networks(planned({"path": tmp_path / "pair", "role": "student_b"}))["model"], pair["student_b"])
        ((what, fix),) = refused({"path": tmp_path / "pair", "role": "student_c"})
        assert what.endswith("has no role 'student_c'. Did you mean 'student_b'?")
        assert fix == "Its roles: student_a, student_b."

    def test_networks_of_cps_that_start_equal_are_told(self, tmp_path):
        source = a_run(tmp_path / "run")["model"]
        plan = planned(tmp_path / "run", strategy={"name": "cps"})
        assert all(equal(found, source) for found in networks(plan).values())
        (note,) = [note for note in plan.notes if "start equal" in note]
        assert note == (
            "student_a, student_b start equal in every tensor; networks that teach each other need different starts: "
            "training.initial_weights={student_a: …, student_b: …}"
        )

    def test_one_role_of_several(self, tmp_path):
        source = a_run(tmp_path / "run")["model"]
        found = networks(planned({"student_b": tmp_path / "run"}, strategy={"name": "cps"}))
        drawn = networks(planned(strategy={"name": "cps"}))
        assert equal(found["student_a"], drawn["student_a"])
        assert equal(found["student_b"], source)

    def test_a_backbone_that_fits_no_weights_is_drawn_and_told_if_another_fits(self, tmp_path):
        source = a_run(tmp_path / "run")["model"]
        wide = {"name": "unet", "channels": [8, 16], "strides": [2]}
        strategy = {"name": "cps", "networks": {"student_b": wide}}
        found = networks(plan := planned(tmp_path / "run", strategy=strategy))
        assert equal(found["student_a"], source)
        assert equal(found["student_b"], networks(planned(strategy=strategy))["student_b"])
        (note,) = [note for note in plan.notes if note.endswith("drawn as without initial weights")]
        assert "does not fit student_b: only the shapes of output layers are the same" in note
        ((what, _),) = refused({"student_b": tmp_path / "run"}, strategy=strategy)
        assert "training.initial_weights.student_b: model of run" in what

    def test_what_differs_in_the_plan_is_told(self, tmp_path):
        record = {"modalities": ["a", "b", "c", "d"]}
        a_run(tmp_path / "run", record=record, backbone={"dropout": 0.25})
        recipe = changed(initial_weights=tmp_path / "run") | {"preprocessing": {"crop": False}}
        notes = make_plan(load_recipe(recipe)).notes
        title = f"run {tmp_path}/run"
        assert f"the backbone of model differs from that of model in {title}: dropout 0.25 there, 0.0 here" in notes
        assert f"preprocessing differs from that of {title}: preprocessing.crop True there, False here" in notes
        assert any(f"modalities differ from those of {title}: a, b, c, d there" in note for note in notes)

    def test_other_axes_are_refused(self, tmp_path):
        a_run(tmp_path / "flat", patch_size=[16, 16])
        ((what, _),) = refused(tmp_path / "flat")
        assert what == f"training.initial_weights: patches of run {tmp_path}/flat have 2 sides, and 3 here."

    def test_a_folder_without_a_run_and_a_damaged_run_are_refused(self, tmp_path):
        (tmp_path / "empty").mkdir()
        assert "is not a run folder" in refused(tmp_path / "empty")[0][0]
        a_run(tmp_path / "run")
        (tmp_path / "run/checkpoints/best.pt").write_bytes(b"damaged")
        assert "does not match its checksum" in refused(tmp_path / "run")[0][0]

    def test_a_checkpoint_of_a_run_is_refused_in_favor_of_its_folder(self, tmp_path):
        a_run(tmp_path / "run")
        ((what, fix),) = refused(tmp_path / "run/checkpoints/best.pt")
        assert "is part of a run folder" in what
        assert fix == f"Give the folder: {tmp_path}/run"


class TestOverlap:
    def test_a_run_trained_on_a_test_case_is_refused_unless_allowed(self, tmp_path):
        a_run(tmp_path / "run", split={"test": ["Phantom_005"], "labeled": ["Phantom_000", "Phantom_002"]})
        ((what, fix),) = refused(tmp_path / "run")
        where = f"training.initial_weights: run {tmp_path}/run was trained on"
        assert what == f"{where} 1 test case of this run: Phantom_000 (labeled there)."
        assert "overlap: allow" in fix
        plan = planned({"path": tmp_path / "run", "overlap": "allow"})
        assert f"the initial weights have seen 1 test case, in run {tmp_path}/run: Phantom_000" in plan.notes

    def test_unlabeled_cases_count_if_the_strategy_uses_them(self, tmp_path):
        split = {"test": ["Phantom_005"]}  # so Phantom_000 is unlabeled
        a_run(tmp_path / "supervised", split=split)
        a_run(tmp_path / "cps", split=split, strategy={"name": "cps"})
        assert planned(tmp_path / "supervised").initial.starts
        ((what, _),) = refused(tmp_path / "cps")
        assert what.endswith("Phantom_000 (unlabeled there).")

    def test_the_runs_that_a_run_started_from_count_too(self, tmp_path):
        a_run(tmp_path / "first", split={"test": ["Phantom_005"], "labeled": ["Phantom_000"]})
        split = {"test": ["Phantom_004"], "labeled": ["Phantom_003"]}
        second = planned(tmp_path / "first", split=split)
        a_run(tmp_path / "second", split=split)
        keep(second.initial, RunFolder(tmp_path / "second"))
        ((what, _),) = refused(tmp_path / "second")
        assert f"run {tmp_path}/first was trained on 1 test case" in what

    def test_another_dataset_with_the_same_ids_is_told(self, tmp_path):
        a_run(tmp_path / "run", split={"test": [], "labeled": ["Phantom_000"]}, record={"dataset": "brats"})
        notes = planned(tmp_path / "run").notes
        where = "in another dataset (brats, here phantom)"
        assert f"run {tmp_path}/run was trained on cases with ids of 1 test case, {where}: Phantom_000" in notes

    def test_other_overlaps_are_told(self, tmp_path):
        split = {"test": [], "validation": ["Phantom_000"], "labeled": ["Phantom_001", "Phantom_004"]}
        a_run(tmp_path / "run", split=split)
        notes, title = planned(tmp_path / "run").notes, f"run {tmp_path}/run"
        assert f"test cases of this run are validation cases of {title}: Phantom_000" in notes
        assert f"validation cases of this run are training cases of {title}: Phantom_001" in notes
        labels = "more labels were used than split.labeled says"
        assert f"1 unlabeled case of this run had labels in {title}: {labels}" in notes


class TestFromAFile:
    def test_with_a_prefix_and_without_the_head(self, tmp_path):
        source, plain = a_run(tmp_path / "run")["model"], networks(planned())["model"]
        inner = {name: value for name, value in source.items() if name not in outputs(planned())}
        save_file({f"module.backbone.{name}": value for name, value in inner.items()}, tmp_path / "w.safetensors")
        found = networks(plan := planned(tmp_path / "w.safetensors"))["model"]
        assert all(torch.equal(found[name], (inner if name in inner else plain)[name]) for name in found)
        counts = f"{len(inner)} of {len(source)} tensors (prefix 'module.backbone.' removed)"
        assert plan.initial.notes[0] == f"model starts from {tmp_path}/w.safetensors: {counts}"
        assert plan.notes[-1].startswith(f"{tmp_path}/w.safetensors does not say which cases its weights have seen")

    def test_a_head_of_unknown_classes_is_told(self, tmp_path):
        torch.save(a_run(tmp_path / "run")["model"], tmp_path / "w.pt")
        assert any("heads: new draws it anew" in note for note in planned(tmp_path / "w.pt").notes)
        new = planned({"path": tmp_path / "w.pt", "heads": "new"})
        assert {drawn.name for drawn in new.initial.starts[0].match.drawn} == outputs(new)

    def test_a_first_convolution_of_other_channels_is_drawn_with_both_shapes_told(self, tmp_path):
        source, drawn = a_run(tmp_path / "run")["model"], networks(planned())["model"]
        first = next(iter(source))
        source = {**source, first: source[first][:, :1].clone()}
        torch.save({"state_dict": source}, tmp_path / "w.pt")
        found = networks(plan := planned(tmp_path / "w.pt"))["model"]
        assert torch.equal(found[first], drawn[first])
        shape = tuple(drawn[first].shape)
        assert any(f"{first} {shape}, there {(shape[0], 1, *shape[2:])}" in note for note in plan.notes)

    def test_student_and_teacher_are_to_be_chosen_between(self, tmp_path):
        source = a_run(tmp_path / "run")["model"]
        both = {
            f"{who}.{name}": value + (who == "teacher")
            for who in ("student", "teacher")
            for name, value in source.items()
        }
        torch.save(both, tmp_path / "w.pt")
        ((what, fix),) = refused(tmp_path / "w.pt")
        assert what.endswith("the names fit equally well with several prefixes, 'student.', 'teacher.'.")
        assert fix == "Choose one: prefix: student."
        found = networks(planned({"path": tmp_path / "w.pt", "prefix": "teacher."}))["model"]
        assert all(torch.equal(found[name], source[name] + 1) for name in source)

    def test_nothing_that_matches_names_both_sides(self, tmp_path):
        torch.save({"stem.weight": torch.zeros(2, 2)}, tmp_path / "w.pt")
        ((what, _),) = refused(tmp_path / "w.pt")
        assert "does not fit model: no names match: there stem.weight; here model.0" in what

    def test_a_tensor_with_two_names_is_used_by_either(self, tmp_path):
        source = a_run(tmp_path / "run")["model"]
        twice = {f"again.{name}": value.detach() for name, value in source.items()}  # as in nnU-Net's checkpoints
        torch.save({**source, **twice, "unknown": torch.zeros(2)}, tmp_path / "w.pt")
        plan = planned(tmp_path / "w.pt")
        assert plan.initial.starts[0].match.unused == ("unknown",)
        assert f"not used of {tmp_path}/w.pt: unknown" in plan.notes

    def test_weights_of_two_axes_are_refused(self, tmp_path):
        torch.save(a_run(tmp_path / "flat", patch_size=[16, 16])["model"], tmp_path / "w.pt")
        ((what, _),) = refused(tmp_path / "w.pt")
        assert what.endswith("they are of a network for images with 2 axes, and patches have 3 here.")

    def test_only_shapes_are_read_for_a_check(self, tmp_path, monkeypatch):
        torch.save(a_run(tmp_path / "run")["model"], tmp_path / "w.pt")
        read, load = [], torch.load

        def recording(*arguments, **options):
            read.append("mapped" if options.get("mmap") else options["map_location"])
            return load(*arguments, **options)

        monkeypatch.setattr(weight_files.torch, "load", recording)
        plan = planned({"student_a": tmp_path / "w.pt", "student_b": tmp_path / "run"}, strategy={"name": "cps"})
        assert plan.draws.n_samples  # creates the strategy
        assert set(read) == {"meta", "mapped"}

    @pytest.mark.parametrize(
        ("options", "what"),
        [
            ({"role": "model", "checkpoint": "last"}, "is a file, and role, checkpoint are for a run folder."),
            ({"overlap": "allow"}, "is a file, and overlap is for a run folder."),
        ],
    )
    def test_options_of_runs_are_refused(self, tmp_path, options, what):
        torch.save({}, tmp_path / "w.pt")
        assert refused({"path": tmp_path / "w.pt", **options})[0][0].endswith(what)

    def test_options_of_files_are_refused_for_a_run(self, tmp_path):
        a_run(tmp_path / "run")
        source = {"path": tmp_path / "run", "prefix": "a.", "key": "b"}
        assert refused(source)[0][0].endswith("is a run folder, and key, prefix are for a file.")


class Copying(Supervised):
    """A second network that starts as a copy of the first, which has weights of its own."""

    @classmethod
    def roles(cls, options):
        (role,) = super().roles(options)
        copy = replace(role, name="copy", trained=False, predicts=False, initialized_like="model")
        return replace(role, initial_weights=cls.own), copy

    @staticmethod
    def own():
        raise AssertionError("replaced by the recipe's")


def test_weights_of_the_recipe_replace_those_of_the_strategy_and_copies_follow(tmp_path):
    source = a_run(tmp_path / "run")["model"]
    recipe = load_recipe(changed(initial_weights=tmp_path / "run")).with_component("strategy", Copying)
    found = networks(make_plan(recipe))
    assert equal(found["model"], source)
    assert equal(found["copy"], source)


class Judged(Supervised):
    """A second network of its own kind."""

    @classmethod
    def roles(cls, options):
        return *super().roles(options), Role("critic", predicts=False, standalone=lambda task: torch.nn.Linear(2, 1))


def test_networks_without_a_backbone_take_weights_only_by_name(tmp_path):
    source = a_run(tmp_path / "run")["model"]
    torch.save({"weight": torch.ones(1, 2), "bias": torch.ones(1)}, tmp_path / "w.pt")
    plan = make_plan(load_recipe(changed(initial_weights=tmp_path / "run")).with_component("strategy", Judged))
    assert equal(networks(plan)["model"], source)
    assert "initial weights are not for critic: no backbone. Name the role to give it some" in plan.notes
    recipe = changed(initial_weights={"critic": tmp_path / "w.pt"})
    named = networks(make_plan(load_recipe(recipe).with_component("strategy", Judged)))
    assert (named["critic"]["weight"] == 1).all()


class ForFourClasses(TinyBackbone):
    """Cannot be built for another number of classes."""

    def build(self, task):
        assert task.out_channels == 4
        return super().build(task)


def test_output_layers_that_cannot_be_told_are_taken_and_that_is_told(tmp_path):
    source = build_networks([Role("model")], {"model": TinyBackbone()}, planned().task, 5)["model"].state_dict()
    torch.save(source, tmp_path / "w.pt")
    recipe = changed(initial_weights={"path": tmp_path / "w.pt", "heads": "new"})
    plan = make_plan(load_recipe(recipe).with_component("backbone", ForFourClasses))
    assert equal(networks(plan)["model"], source)
    assert any(note.startswith("output layers of model are to be drawn anew, but which ones") for note in plan.notes)


def test_an_output_layer_alone_is_no_match(tmp_path):
    source = a_run(tmp_path / "run")["model"]
    torch.save({name: source[name] for name in outputs(planned())}, tmp_path / "w.pt")
    assert "only the shapes of output layers are the same" in refused(tmp_path / "w.pt")[0][0]


def test_every_wrong_role_is_told_with_what_to_name_instead(tmp_path):
    recipe = changed(initial_weights={"copy": tmp_path / "a", "mod": tmp_path / "a", "model": tmp_path / "b"})
    with pytest.raises(RecipeError) as raised:
        make_plan(load_recipe(recipe).with_component("strategy", Copying))
    key = "training.initial_weights"
    assert [problem.what for problem in raised.value.problems] == [
        f"{key}.copy: copy starts as a copy of model.",
        f"{key}.mod: the strategy has no role 'mod'. Did you mean 'model'?",
        f"{key}.model: {tmp_path}/b does not exist.",
    ]


class TestKept:
    def test_stages_that_draw_networks_anew_start_from_the_copy_in_the_run_folder(self, tmp_path):
        source = a_run(tmp_path / "run")["model"]
        inner = {name: value for name, value in source.items() if name not in outputs(planned())}
        torch.save(inner, tmp_path / "w.pt")
        plan, folder = planned(tmp_path / "w.pt"), RunFolder(tmp_path / "new")
        keep(plan.initial, folder)
        (tmp_path / "w.pt").unlink()
        components = from_folder(plan.components, folder)
        for stage in (0, 1):
            arguments = components.backbones, plan.task, plan.recipe.seed, stage
            found = build_networks(components.roles, *arguments)["model"].state_dict()
            drawn = build_networks(components.roles, *arguments, initial_weights=False)["model"].state_dict()
            assert all(torch.equal(found[name], (inner if name in inner else drawn)[name]) for name in found)

        report = read_json(folder.initial_report)
        assert report["roles"]["model"]["matched"] == list(inner)
        assert len(report["roles"]["model"]["sha256"]) == 64
        assert {one["name"] for one in report["roles"]["model"]["drawn_anew"]} == outputs(plan)
        assert report["notes"] == list(plan.initial.notes)

    def test_a_lost_copy_is_told(self, tmp_path):
        a_run(tmp_path / "run")
        plan, folder = planned(tmp_path / "run"), RunFolder(tmp_path / "new")
        with pytest.raises(RunError, match=r"There is no checkpoint .*initial_weights\.pt; this run starts from it"):
            networks(replace(plan, components=from_folder(plan.components, folder)))

    def test_weights_that_are_not_finite_are_refused(self, tmp_path):
        source = a_run(tmp_path / "run")["model"]
        first = next(iter(source))
        torch.save({**source, first: torch.full_like(source[first], torch.nan)}, tmp_path / "w.pt")
        with pytest.raises(TrainingError, match=rf"w\.pt: weights are not finite: {first}"):
            keep(planned(tmp_path / "w.pt").initial, RunFolder(tmp_path / "new"))

    def test_roles_that_start_alike_share_their_tensors(self, tmp_path):
        torch.save(a_run(tmp_path / "run")["model"], tmp_path / "w.pt")
        sizes = []
        for strategy in ("supervised", "cps"):
            folder = RunFolder(tmp_path / strategy)
            keep(planned(tmp_path / "w.pt", strategy={"name": strategy}).initial, folder)
            sizes.append(folder.initial_weights.stat().st_size)
        assert sizes[1] < 1.5 * sizes[0]
