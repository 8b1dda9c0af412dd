import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from semiseg.cli.study import show as study_show
from semiseg.cli.study.live import StatusView, TimeLeft
from semiseg.cli.study.plan import show_plan
from semiseg.cli.study.show import Lines, failure, live_table, watching
from semiseg.engine.probe import Measured
from semiseg.recipe.schema import BatchSize
from semiseg.study import models
from semiseg.study.forecast import Forecast
from semiseg.study.load import load_study
from semiseg.study.status import Progress, Status

FORECAST = Forecast(63_000, BatchSize(labeled=2, unlabeled=2), int(23.2 * 2**30), int(5.4 * 2**30))
MEASURED = replace(FORECAST, measured=Measured(seconds=0.5, bytes=0))
FIGURES = ("1050", "63,000", "4+0", "23.2")


@pytest.fixture(scope="module")
def study():
    return load_study(Path(__file__).parents[3] / "recipes" / "brats_study.yaml", expand=False)


def console(width=80, height=24, terminal=True, color=None):
    return Console(
        width=width, height=height, file=io.StringIO(), force_terminal=terminal, color_system=color, _environ={}
    )


def plan(study, console, forecast=FORECAST):
    show_plan(study, [forecast] * len(study.models), console)
    return console.file.getvalue()


def table_lines(text):
    return [line.rstrip() for line in text.split("\n30 models")[0].splitlines()]


class Made(Status):
    """A status that takes any field."""


def made(state, name=None, epochs=100, **fields):
    status = Made(name or f"unetr_cps_25of1050_{state}", epochs, state)
    for key, value in fields.items():
        setattr(status, key, value)
    return status


def many(**counts):
    return [made(state, f"unetr_cps_{i}of1050_{state}") for state, count in counts.items() for i in range(count)]


def view(statuses, width=80, height=24, **more):
    screen = console(width, height)
    screen.print(StatusView(statuses, **more))
    return screen.file.getvalue()


class TestThePlan:
    @pytest.mark.slow
    @pytest.mark.parametrize("width", [120, 80, 62, 40])
    def test_no_figure_is_cut_at_any_width(self, study, width):
        text = plan(study, console(width), MEASURED)
        rows = [line.split() for line in table_lines(text) if line.endswith("8.75")]
        assert len(rows) == 30
        assert all(row[3] == "63,000" and row[5] == "23.2" for row in rows)
        assert {row[1] for row in rows} == {"12", "25", "50", "100", "1050"}
        assert "…" not in text

    @pytest.mark.parametrize("width", [120, 80, 62])
    def test_its_lines_fit_the_terminal(self, study, width):
        assert max(map(len, table_lines(plan(study, console(width))))) <= width

    def test_eighty_columns_hold_names_and_all_columns(self, study):
        text = plan(study, console(80))
        assert "unetr_supervised_1050_s0" in text
        assert re.search(r"memory +least *\n", text)
        assert re.search(r"batch +GiB +GiB +hours *\n", text)

    def test_the_least_goes_before_names_are_crushed(self, study):
        text = plan(study, console(66))
        assert "5.4" not in text
        assert "a wider terminal also shows the least" in text
        assert "unetr_supervised_105" in text

    def test_a_pipe_gets_the_whole_table(self, study):
        text = plan(study, console(40, terminal=False))
        header = next(line for line in text.splitlines() if line.startswith("model"))
        titles = ["model", "labeled", "unlabeled", "steps", "batch", "memory GiB", "least GiB", "hours"]
        assert re.split(r"  +", header.strip()) == titles
        row = next(line for line in text.splitlines() if line.startswith("unetr_supervised_1050_s0"))
        assert row.split() == ["unetr_supervised_1050_s0", "1050", "–", "63,000", "2+2", "23.2", "5.4", "–"]

    def test_unmeasured_is_said_once(self, study):
        assert plan(study, console(80)).count("not measured") == 1
        assert "not measured" not in plan(study, console(80), MEASURED)
        assert "262.5 in total" in plan(study, console(80), MEASURED)

    def test_kinds_have_a_table_each_in_the_study_s_order(self, study):
        text = plan(study, console(120))
        titles = [line.strip() for line in text.splitlines() if re.fullmatch(r".*: \d+ models *", line)]
        assert titles == ["supervised: 10 models", "cps: 16 models", "cps without unlabeled data: 4 models"]
        assert "30 models: 10 supervised, 16 cps, 4 cps without unlabeled data." in text

    @pytest.mark.parametrize(("any_unlabeled", "column"), [(True, "the rest"), (None, "if any"), (False, "–")])
    def test_all_labels_of_all_cases_may_have_unlabeled_ones_beside_them(self, tmp_path, any_unlabeled, column):
        path = tmp_path / "st.yaml"
        path.write_text(
            "name: st\nmatrix:\n  - {strategy: cps}\nbaseline: cps\n"
            "base:\n  dataset: {name: phantom}\n  split: {test: 3, validation: 2, labeled: all}\n"
            "  strategy: cps\n  backbone: unet\n"
        )
        text = plan(load_study(path), console(120), replace(FORECAST, any_unlabeled=any_unlabeled))
        assert ("cps without unlabeled data: 1 model" in text) == (any_unlabeled is False)
        assert re.search(rf"cps_all_s0 +all +{column} ", text)

    @pytest.mark.parametrize("labeled", ["2", "all"])
    def test_a_method_whose_steps_draw_no_unlabeled_samples_is_its_own_control(self, tmp_path, labeled):
        path = tmp_path / "st.yaml"
        path.write_text(
            "name: st\nmatrix:\n  - {strategy: cps, training.batch_size: {labeled: 2, unlabeled: 0}}\nbaseline: cps\n"
            f"base:\n  dataset: {{name: phantom}}\n  split: {{test: 3, validation: 2, labeled: {labeled}}}\n"
            "  strategy: cps\n  backbone: unet\n"
        )
        text = plan(load_study(path), console(120), replace(FORECAST, any_unlabeled=True))
        assert "cps without unlabeled data: 1 model" in text
        assert re.search(rf" {labeled} +– ", text)

    def test_memory_that_is_not_known_is_said_so(self, study):
        assert "Memory: unknown" in plan(study, console(), replace(FORECAST, memory=None, least=None))

    def test_its_time_grows_with_the_models_and_not_their_square(self, study, monkeypatch):
        asked, ask = [], models.takes_unlabeled
        monkeypatch.setattr(models, "takes_unlabeled", lambda name: asked.append(name) or ask(name))
        calls = []
        for times in (1, 4):
            asked.clear()
            plan(replace(study, models=study.models * times), console(120))
            calls.append(len(asked))
        assert calls[1] == 4 * calls[0]
        assert calls[0] <= 5 * len(study.models)


class TestTheLiveTable:
    def test_what_runs_is_listed_and_the_rest_is_counted_where_the_terminal_is_low(self):
        text = view(many(done=19, kept=3, waiting=6, running=5, failed=1))
        assert text.count("_running ") == 5
        assert text.count("_failed ") == 1
        assert text.count("_waiting ") == 6
        assert len(text.splitlines()) <= 23
        listed = text.count("_done ")
        assert f"not listed: {19 - listed} done, 3 kept" in text.replace("\n", " ")

    def test_the_order_is_what_has_to_be_known_first(self):
        order = ["failed", "running", "elsewhere", "queued", "waiting", "done", "kept"]
        text = view([made(state, "m") for state in reversed(order)])
        assert re.findall(r"(?m)^m +(\w+) ", text) == order

    def test_many_failures_leave_room_for_what_runs(self):
        text = view(many(failed=40, running=5))
        assert text.count("_running ") == 5
        assert re.search(r"not listed: \d+ failed", text)

    @pytest.mark.parametrize(("width", "height"), [(80, 24), (40, 10), (120, 12), (30, 5), (80, 3)])
    def test_it_is_never_higher_than_the_terminal(self, width, height):
        statuses = [made("elsewhere", f"model_{i}", where="process 41 on a-host-with-a-long-name") for i in range(9)]
        text = view(statuses + many(running=9, done=99), width, height)
        assert len(text.splitlines()) < height
        assert max(map(len, text.splitlines())) <= width

    def test_the_whole_of_it_ignores_the_height(self):
        assert view(many(done=40), whole=True).count("_done ") == 40

    def test_a_run_that_is_elsewhere_says_who_holds_it(self):
        statuses = [made("elsewhere", "unetr_supervised_1050_s0", where="process 41 on node7")]
        assert "elsewhere: process 41 on node7" in view(statuses, width=100)
        assert re.search(r"1050_s0 +elsewhere: process 41 on +0/100 .*\n +node7 ", view(statuses, width=80))

    def test_names_keep_one_line_where_states_are_long_and_figures_wide(self):
        progress = Progress(40, 0.71, 36_000.0)
        text = view(
            [
                made(
                    "elsewhere", "unetr_supervised_1050_s0", where="process 41 on node7", progress=progress, epochs=1000
                ),
                *many(running=5),
            ]
        )
        assert "unetr_supervised_1050_s0" in text
        assert "…" not in text
        assert all(figure in text for figure in ("40/1000", "0.710", "10 h 00 min"))

    def test_its_title_counts_and_estimates(self):
        statuses = many(running=2, waiting=1)
        assert "3 models: 2 running, 1 waiting; about 2 h 10 min left" in view(statuses, left=7800.0)
        assert "3 models: 2 running, 1 waiting\n" in re.sub(r" +\n", "\n", view(statuses))


class TestTimeLeft:
    def test_there_is_none_before_a_pace_is_known_or_where_nothing_runs(self):
        assert TimeLeft()([made("running"), made("waiting")]) is None
        assert TimeLeft()([made("queued"), made("waiting")]) is None
        assert TimeLeft()([made("done"), made("kept")]) is None

    def test_waiting_models_take_the_mean_pace_and_share_what_runs_at_a_time(self):
        statuses = [
            made("running", "a", progress=Progress(50, None, 500.0)),  # 10 s an epoch
            made("running", "b", progress=Progress(50, None, 1000.0)),  # 20 s an epoch
            made("waiting", "c"),  # 100 epochs of 15 s
            made("waiting", "d", epochs=200),
        ]
        assert TimeLeft()(statuses) == pytest.approx((500 + 1000 + 1500 + 3000) / 2)

    def test_finished_models_leave_their_pace(self):
        estimate = TimeLeft()
        estimate([made("running", "a", progress=Progress(90, None, 100.0))])
        assert estimate([made("done", "a", progress=Progress(100)), made("running", "b")]) == pytest.approx(1000)

    def test_it_is_never_less_than_the_longest_model_s(self):
        statuses = [
            made("running", "a", progress=Progress(99, None, 5.0)),
            made("elsewhere", "b", progress=Progress(10, None, 900.0)),
        ]
        assert TimeLeft()(statuses) == 900


class TestFailures:
    @pytest.mark.parametrize(
        ("more", "text"),
        [
            ({"code": 5}, "m failed: it ended with exit code 5"),
            ({"code": -9}, "m failed: it was killed by signal 9"),
            (
                {"code": 1, "reason": "was ended by the cluster (TIMEOUT)"},
                "m failed: it was ended by the cluster (TIMEOUT)",
            ),
            ({"code": 2, "log": "runs/m.log"}, "m failed: it ended with exit code 2; log: runs/m.log"),
            ({}, "m failed"),
        ],
    )
    def test_one_is_told_with_all_that_is_known(self, more, text):
        assert failure(made("failed", "m", **more)) == text

    def test_a_terminal_shows_it_at_once_and_once_above_the_table(self):
        screen = console()
        with live_table(screen) as watch:
            watch(many(running=2))
            before = screen.file.getvalue()
            watch([made("failed", "[m]", code=3), *many(running=2)])
            during = screen.file.getvalue()[len(before) :]
            watch([made("failed", "[m]", code=3), *many(running=1, done=1)])
        assert during.index("[m] failed: it ended with exit code 3") < during.index("1 failed, 2 running")
        assert screen.file.getvalue().count("[m] failed: it ended with exit code 3") == 1

    def test_the_table_below_keeps_its_colors(self):
        screen = console(color="standard")
        with live_table(screen) as watch:
            watch([made("failed", "m", code=3), made("running", "n")])
        red = re.findall(r"\x1b\[31m(.*?)\x1b\[0m", screen.file.getvalue())
        assert {text.strip() for text in red} == {"m failed: it ended with exit code 3", "failed"}

    def test_a_log_has_a_line_of_it(self, capsys):
        lines = Lines()
        lines.watch([made("failed", "m", code=3), made("running", "n")])
        lines.watch([made("failed", "m", code=3), made("running", "n")])
        assert capsys.readouterr().err.splitlines() == [
            "m failed: it ended with exit code 3",
            "n: running, epoch 0/100",
        ]


class TestWatching:
    def test_the_table_s_last_word_lists_all_models(self):
        screen = console(height=10)
        with live_table(screen) as watch:
            watch(many(running=1, waiting=29))
            before = len(screen.file.getvalue())
            watch(many(done=30))
        assert "not listed" in screen.file.getvalue()[:before]
        assert screen.file.getvalue().rpartition("models: 30 done")[2].count("_done ") == 30

    def test_the_terminal_is_left_alone_until_there_is_something_to_show(self):
        screen = console()
        with live_table(screen):
            assert screen.file.getvalue() == ""
        assert screen.file.getvalue() == ""

    def test_lines_say_each_change_once_and_now_and_then_the_progress(self, capsys, monkeypatch):
        now = 0.0
        monkeypatch.setattr(study_show.time, "monotonic", lambda: now)
        begun = made("running", "a", progress=Progress(10, 0.5, 900.0))
        held = made("elsewhere", "b", where="process 41 on node7")
        lines, said = Lines(), []
        for statuses in (
            [made("running", "a"), held, made("waiting", "c")],
            [begun, held, made("waiting", "c")],
            [begun, held, made("waiting", "c")],  # nothing new
            [made("done", "a", progress=Progress(100, 0.7)), held, made("kept", "c", progress=Progress(100, 0.6))],
        ):
            lines.watch(statuses)
            now += 31.0
            said.append(capsys.readouterr().err.splitlines())
        assert said == [
            ["a: running, epoch 0/100", "b: elsewhere: process 41 on node7, epoch 0/100"],
            [
                "a: running, epoch 10/100, validation Dice 0.500, 15 min 00 s left",
                "3 models: 1 running, 1 elsewhere, 1 waiting; about 24 min 10 s left",
            ],
            [],
            [
                "a: done, epoch 100/100, validation Dice 0.700",
                "c: kept, epoch 100/100, validation Dice 0.600",
                "3 models: 1 elsewhere, 1 done, 1 kept; about 16 min 40 s left",
            ],
        ]

    def test_quiet_says_nothing(self, capsys):
        with watching(quiet=True) as watch:
            watch([made("failed")])
        assert capsys.readouterr() == ("", "")

    def test_what_is_no_terminal_gets_lines(self, capsys):
        with watching(quiet=False) as watch:
            watch([made("running", "m")])
        assert capsys.readouterr().err == "m: running, epoch 0/100\n"
