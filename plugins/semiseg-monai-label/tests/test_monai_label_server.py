"""A real server of MONAI Label on 127.0.0.1, asked over REST as 3D Slicer's module asks it."""

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid

import nibabel as nib
import numpy as np
import pytest

import semiseg

pytest.importorskip(
    "monailabel", reason='MONAI Label is not installed: pip install "semiseg-monai-label[server]"', exc_type=ImportError
)

RECIPE = {
    "name": "small",
    "seed": 3,
    "dataset": {"name": "phantom", "cases": 10, "size": [32, 32, 32]},
    "split": {"test": 1, "validation": 1, "labeled": 2, "total": 8},
    "augmentation": {"name": "none"},
    "backbone": {"name": "unet", "channels": [4, 8], "strides": [2], "num_res_units": 0},
    "strategy": {"name": "cps"},
    "training": {
        "epochs": 4,
        "examples_per_epoch": 16,
        "patch_size": [16, 16, 16],
        "batch_size": {"labeled": 1, "unlabeled": 1},
        "workers": 0,
    },
    "inference": {"overlap": 0.0},
}
SECONDS = 300
"""Until a server answers; importing MONAI Label takes most of it on a busy machine."""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    home = tmp_path_factory.mktemp("run")
    changed = {**RECIPE, "dataset": {**RECIPE["dataset"], "root": str(home / "data")}}
    semiseg.run(changed, home / "run")
    return home / "run"


class Server:
    """The command as a user starts it, and requests to it."""

    def __init__(self, run, app):
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
        self.url, self.log = f"http://127.0.0.1:{port}", app.with_name("server.log")
        options = ["--by", "disagreement", "-n", "2", "-o", str(app), "--port", str(port)]
        self.command = [sys.executable, "-m", "semiseg_monai_label", str(run), *options]
        self.process = None

    def start(self):
        with self.log.open("a") as output:
            self.process = subprocess.Popen(self.command, stdout=output, stderr=output)
        end = time.monotonic() + SECONDS
        while not self.answers():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.5)

    def stop(self):
        self.process.terminate()
        self.process.wait(30)

    def answers(self):
        try:
            self.get("/info/")
        except urllib.error.URLError:
            return False
        return True

    def get(self, path):
        return json.loads(self.ask("GET", path))

    def post(self, path, body=None):
        content = None if body is None else json.dumps(body).encode()
        return json.loads(self.ask("POST", path, content, "application/json"))

    def ask(self, method, path, content=None, kind=None):
        headers = {} if kind is None else {"Content-Type": kind}
        request = urllib.request.Request(self.url + path, content, headers, method=method)
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            return answer.read()

    def save(self, case, path, **params):
        """Save a label as 3D Slicer does: multipart, with the segments in the field params."""
        mark = uuid.uuid4().hex
        fields = f'--{mark}\r\nContent-Disposition: form-data; name="params"\r\n\r\n{json.dumps(params)}\r\n'
        head = f'--{mark}\r\nContent-Disposition: form-data; name="label"; filename="{path.name}"\r\n\r\n'
        body = (fields + head).encode() + path.read_bytes() + f"\r\n--{mark}--\r\n".encode()
        return self.ask("PUT", f"/datastore/label?image={case}", body, f"multipart/form-data; boundary={mark}")


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    return tmp_path_factory.mktemp("served") / "app"


@pytest.fixture(scope="module")
def server(run, app):
    server = Server(run, app)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def suggested(run, tmp_path_factory):
    """What ``semiseg suggest`` says, in a folder of its own."""
    found = semiseg.suggest(run, tmp_path_factory.mktemp("suggested") / "round", by="disagreement", n=2)
    return [one.case for one in found.cases]


def voxels(path):
    return np.asanyarray(nib.load(path).dataobj)


def test_the_server_describes_the_model_the_rules_and_no_training(server):
    info = server.get("/info/")
    assert sorted(info["models"]["semiseg"]["labels"].values()) == [1, 2, 4]
    assert info["models"]["semiseg"]["type"] == "segmentation"
    assert {"random", "entropy", "disagreement", "diversity", "hybrid"} <= set(info["strategies"])
    assert next(iter(info["strategies"])) == "disagreement"
    assert info["trainers"] == {}
    assert info["datastore"]["total"] == 2


def test_the_answer_equals_semiseg_predict_voxel_for_voxel(server, run, app, suggested, tmp_path):
    case = suggested[0]
    content = server.ask("POST", f"/infer/semiseg?image={case}&output=image")
    (tmp_path / "served.nii.gz").write_bytes(content)
    files = sorted((app / "suggestions" / "disagreement" / "images").glob(f"{case}_*"))
    record = json.loads((run / "model.json").read_text())
    images = [next(path for path in files if f"_{name}." in path.name) for name in record["modalities"]]
    semiseg.predict(run, images, tmp_path / "predicted.nii.gz")
    expected = nib.load(tmp_path / "predicted.nii.gz")
    np.testing.assert_array_equal(voxels(tmp_path / "served.nii.gz"), voxels(tmp_path / "predicted.nii.gz"))
    np.testing.assert_array_equal(nib.load(tmp_path / "served.nii.gz").affine, expected.affine)
    assert voxels(tmp_path / "served.nii.gz").any()

    with pytest.raises(urllib.error.HTTPError) as raised:
        server.ask("POST", "/infer/semiseg?image=Phantom_999&output=image")
    assert raised.value.code == 404

    names = server.ask("POST", f"/infer/semiseg?image={case}&output=json")
    there = set(np.unique(voxels(tmp_path / "predicted.nii.gz")).tolist()) - {0}
    assert set(json.loads(names)["label_names"].values()) == there


def test_the_next_case_is_the_rule_s_first_without_a_final_label_and_labels_are_adopted(
    server, run, app, suggested, tmp_path
):
    first, second = suggested
    assert server.post("/activelearning/disagreement", {})["id"] == first
    assert server.post("/activelearning/disagreement", {})["id"] == first  # asking alone finishes nothing
    proposal = app / "studies" / "labels" / "original" / f"{first}.nii.gz"
    assert proposal.read_bytes() == (app / f"suggestions/disagreement/proposals/{first}.nii.gz").read_bytes()

    labels = server.get("/info/")["models"]["semiseg"]["labels"]
    last, other = sorted(labels, key=labels.get, reverse=True)[:2]
    drawn = np.zeros(voxels(proposal).shape, np.uint8)
    drawn[4:8], drawn[10:12] = 1, 2
    nib.save(nib.Nifti1Image(drawn, nib.load(proposal).affine), tmp_path / "sent.nii.gz")
    segments = [{"name": last, "idx": 1}, {"name": other, "idx": 2}]

    with pytest.raises(urllib.error.HTTPError) as raised:
        server.save(first, tmp_path / "sent.nii.gz", label_info=[*segments, {"name": "Segment_3", "idx": 3}])
    assert raised.value.code == 400
    assert "'Segment_3' is no class of the model" in json.loads(raised.value.read())["detail"]
    assert server.post("/activelearning/disagreement", {})["id"] == first

    server.save(first, tmp_path / "sent.nii.gz", label_info=segments)
    saved = app / "studies" / "labels" / "final" / f"{first}.nii.gz"
    expected = np.select([drawn == 1, drawn == 2], [labels[last], labels[other]], 0)
    np.testing.assert_array_equal(voxels(saved), expected)
    assert server.post("/activelearning/disagreement", {})["id"] == second
    assert server.get("/info/")["datastore"]["completed"] == 1

    proposed = app / "suggestions" / "disagreement" / "proposals" / f"{second}.seg.nrrd"
    server.save(second, proposed, label_info=[{"name": "edema", "idx": 1}])
    assert (saved.parent / f"{second}.seg.nrrd").read_bytes() == proposed.read_bytes()
    assert server.post("/activelearning/disagreement", {}) == {}

    adopted = semiseg.adopt(
        app / "suggestions" / "disagreement", run / "recipe.yaml", tmp_path / "next.yaml", labels=saved.parent
    )
    assert adopted.cases == (first, second)
    assert adopted.unchanged == (second,)


def test_another_rule_chooses_its_cases_when_it_is_asked(server, run, app, tmp_path):
    alone = semiseg.suggest(run, tmp_path / "random", by="random", n=2).cases
    finished = {path.name.partition(".")[0] for path in (app / "studies" / "labels" / "final").iterdir()}
    expected = next(one for one in alone if one.case not in finished)
    found = server.post("/activelearning/random", {})
    assert (found["id"], found["reason"]) == (expected.case, expected.reason)
    image = server.ask("GET", f"/datastore/image?image={found['id']}")
    shown = (app / "studies" / f"{found['id']}.nii.gz").resolve()
    assert image == shown.read_bytes()


def test_a_restarted_server_knows_its_labels(server, suggested):
    before = server.get("/datastore/?output=all")["objects"]
    server.stop()
    server.start()
    after = server.get("/datastore/?output=all")["objects"]
    assert {name: sorted(one["labels"]) for name, one in after.items()} == {
        name: sorted(one["labels"]) for name, one in before.items()
    }
    assert "final" in after[suggested[0]]["labels"]
    assert server.post("/activelearning/disagreement", {}) == {}
