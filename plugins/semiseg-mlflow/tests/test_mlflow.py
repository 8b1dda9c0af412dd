"""Runs in a real MLflow store (SQLite), read back with MLflow's client."""

import json
import shutil

import pytest
from mlflow.tracking import MlflowClient

from semiseg.registry import create
from semiseg.testing.observer import RECIPE, SCORES, VALUES, ObserverContract, make_run
from semiseg_mlflow.observer import KEPT, MLflow, flat

DICE = "validation/dice/left ventricle"


@pytest.fixture(autouse=True)
def quiet(monkeypatch, tmp_path):
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.chdir(tmp_path)  # artifacts of a SQLite store lie in ./mlruns


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """A store without runs: MLflow takes seconds to create its tables."""
    path = tmp_path_factory.mktemp("store") / "empty.db"
    MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def uri(tmp_path, empty):
    return f"sqlite:///{shutil.copy(empty, tmp_path / 'runs.db')}"


@pytest.fixture
def client(uri):
    return MlflowClient(tracking_uri=uri)


@pytest.fixture
def observer(uri):
    return lambda: create("observer", "mlflow", {"tracking_uri": uri, "experiment": "heart"})


class TestMLflow(ObserverContract):
    @pytest.fixture
    def observer(self, uri):
        return lambda: MLflow(MLflow.Options(tracking_uri=uri))


def the_run(client, experiment="heart"):
    (run,) = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
    return run


def steps(client, run, name):
    return [point.step for point in client.get_metric_history(run.info.run_id, name)]


def test_a_run_is_there_with_recipe_curves_scores_and_files(observer, client, tmp_path):
    one, run = observer(), make_run(tmp_path / "run")
    one.begin(run)
    assert the_run(client).info.status == "RUNNING"
    one.record(10, VALUES)
    one.record(20, VALUES | {DICE: 0.65})
    one.end(SCORES, [run.folder / "recipe.yaml", run.folder / "scores.csv"])

    found = the_run(client)
    assert (found.info.run_name, found.info.status) == ("heart", "FINISHED")
    assert found.data.params == dict(flat(RECIPE))
    assert found.data.tags["semiseg.folder"] == str(run.folder)
    history = client.get_metric_history(found.info.run_id, DICE)
    assert [(point.step, point.value) for point in history] == [(10, 0.6), (20, 0.65)]
    assert {name: found.data.metrics[name] for name in SCORES} == SCORES
    assert steps(client, found, next(iter(SCORES))) == [20]
    assert {file.path for file in client.list_artifacts(found.info.run_id)} == {"recipe.yaml", "scores.csv"}


def test_a_resumed_run_continues_without_repeated_steps(observer, client, tmp_path):
    first, second = observer(), observer()
    first.begin(make_run(tmp_path / "run"))
    first.record(10, VALUES)
    first.record(20, VALUES)
    first.fail("no memory")
    failed = the_run(client)
    assert (failed.info.status, failed.data.tags["semiseg.failure"]) == ("FAILED", "no memory")

    resumed = make_run(tmp_path / "run", resumed=True)
    resumed.recipe["training"]["optimizer"]["lr"] = 0.001
    second.begin(resumed)
    assert the_run(client).info.status == "RUNNING"
    second.record(20, VALUES)
    second.record(30, VALUES)
    second.end({}, [])
    found = the_run(client)
    assert (found.info.run_id, found.info.status) == (failed.info.run_id, "FINISHED")
    assert "semiseg.failure" not in found.data.tags
    assert steps(client, found, DICE) == [10, 20, 30]
    assert found.data.params["training.optimizer.lr"] == "0.003"  # MLflow's params never change
    assert found.data.tags["resumed.training.optimizer.lr"] == "0.001"


@pytest.mark.parametrize("gone", ["deleted", "of another store"])
def test_a_run_that_is_not_in_the_store_is_another_run(gone, observer, client, tmp_path):
    folder = tmp_path / "run"
    first, second = observer(), observer()
    first.begin(make_run(folder))
    first.record(10, VALUES)
    before = the_run(client)
    if gone == "deleted":
        client.delete_run(before.info.run_id)
    else:
        (folder / KEPT).write_text(json.dumps({"tracking_uri": "http://there", "run_id": before.info.run_id}))
    second.begin(make_run(folder, resumed=True))
    second.record(10, VALUES)
    now = json.loads((folder / KEPT).read_text())["run_id"]
    assert now != before.info.run_id
    assert steps(client, client.get_run(now), DICE) == [10]


def test_recipes_and_names_beyond_mlflow_s_limits(observer, client, tmp_path):
    run = make_run(tmp_path / "run")
    run.recipe["many"] = {f"class ({index})": index for index in range(250)}
    run.recipe["long"] = "x" * 7000
    one = observer()
    one.begin(run)
    one.record(10, {"validation/dice/T1+contrast": 0.5})
    found = the_run(client)
    assert found.data.params["many.class _249_"] == "249"
    assert found.data.params["long"] == "x" * 6000
    assert steps(client, found, "validation/dice/T1_contrast") == [10]


def test_values_of_the_recipe_are_flat():
    recipe = {"a": {"b": {"c": 1}, "d": None}, "e": [1, {"f": True}], "g": "text", "h": {}}
    assert dict(flat(recipe)) == {"a.b.c": "1", "a.d": "null", "e": '[1, {"f": true}]', "g": "text", "h": "{}"}


def test_a_store_that_cannot_be_opened_is_an_error_of_begin_alone(tmp_path):
    (tmp_path / "file").write_text("no folder")
    one = create("observer", "mlflow", {"tracking_uri": f"sqlite:///{tmp_path}/file/runs.db"})
    with pytest.raises(OSError, match="file"):
        one.begin(make_run(tmp_path / "run"))
