"""Where the weights come from: the mounts, and the scripts of the init containers, which are really run."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tools import helm


def pod(values):
    return helm.find(helm.render(values), "Deployment")["spec"]["template"]


def environment(values):
    return {each["name"]: each.get("value") for each in pod(values)["spec"]["containers"][0]["env"]}


def model_volume(values):
    [volume] = [each for each in pod(values)["spec"]["volumes"] if each["name"] == "model"]
    return volume


def test_the_pods_serve_the_weights_of_the_image_by_default():
    assert "MODEL_PATH" not in environment({})
    assert [each["name"] for each in pod({})["spec"]["volumes"]] == ["tmp"]
    assert pod({})["metadata"]["annotations"]["rust-ml-api/model-source"] == "image rust-ml-api:0.1.0"


def test_a_config_map_is_mounted_as_a_folder_so_that_kubernetes_updates_it():
    values = helm.read_values(helm.CHART / "ci" / "model-configmap-values.yaml")
    [mount] = [
        each for each in pod(values)["spec"]["containers"][0]["volumeMounts"] if each["name"] == "model"
    ]

    assert model_volume(values) == {"name": "model", "configMap": {"name": "weights-2"}}
    assert mount == {"name": "model", "mountPath": "/models", "readOnly": True}
    assert environment(values)["MODEL_PATH"] == "/models/mnist_cnn.pt"
    assert environment(values)["MODEL_SHA256"] == values["model"]["sha256"]
    assert (
        pod(values)["metadata"]["annotations"].items()
        >= {
            "rust-ml-api/model-source": "configmap weights-2",
            "rust-ml-api/model-version": "2",
            "rust-ml-api/model-sha256": values["model"]["sha256"],
        }.items()
    )


def test_the_file_may_be_in_a_folder_of_the_claim():
    values = helm.read_values(helm.CHART / "ci" / "model-claim-values.yaml")

    assert model_volume(values)["persistentVolumeClaim"] == {"claimName": "weights"}
    assert environment(values)["MODEL_PATH"] == "/models/runs/2/mnist_cnn.pt"
    assert "initContainers" not in pod(values)["spec"]


def test_a_different_version_starts_a_rollout_and_the_same_version_does_not():
    def template(version):
        return pod({"model": {"existingConfigMap": "weights", "version": version}})

    assert template("1") == template("1")
    assert template("1") != template("2")


def test_the_test_pod_checks_the_weights_that_the_release_serves():
    test = helm.find(helm.render({"model": {"existingConfigMap": "weights"}}), "Pod")["spec"]
    [container] = test["containers"]

    assert container["args"] == ["http://rust-ml-api-service:80", "--model=/models/mnist_cnn.pt"]
    assert {"name": "model", "configMap": {"name": "weights"}} in test["volumes"]


def test_pods_wait_for_the_weights_that_the_job_writes():
    objects = helm.render(helm.read_values(helm.CHART / "ci" / "training-values.yaml"))
    job = helm.find(objects, "Job")["spec"]["template"]["spec"]
    [wait] = helm.find(objects, "Deployment")["spec"]["template"]["spec"]["initContainers"]

    assert job["containers"][0]["image"] == "rust-ml-api:0.1.0-training"
    assert job["containers"][0]["command"] == ["python", "-m", "training", "--out", "/models"]
    assert job["containers"][0]["args"] == ["--data", "/data", "--epochs", "1"]
    assert wait["args"] == ["/models/mnist_cnn.pt"]


def test_different_training_arguments_give_the_job_a_different_name():
    def name(epochs):
        values = {
            "model": {"existingClaim": "w"},
            "training": {"enabled": True, "args": ["--epochs", epochs]},
        }
        return helm.find(helm.render(values), "Job")["metadata"]["name"]

    assert name("1") == name("1")
    assert name("1") != name("2")


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    """The address of a web server with one small file."""
    folder = tmp_path_factory.mktemp("web")
    (folder / "model.pt").write_bytes(b"weights")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def init_container(values, path):
    """Run the init container's own command, with its own arguments, on a path of this machine."""
    [container] = pod(values)["spec"]["initContainers"]
    arguments = [str(path) if each == "/models/mnist_cnn.pt" else each for each in container["args"]]
    command = [sys.executable, *container["command"][1:], *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_weights_are_downloaded_and_checked(web, tmp_path):
    sha256 = hashlib.sha256(b"weights").hexdigest()
    values = {"model": {"url": f"{web}/model.pt", "sha256": sha256}}

    process = init_container(values, tmp_path / "model.pt")
    said, _ = process.communicate(timeout=60)

    assert process.returncode == 0
    assert said == f"{tmp_path}/model.pt: 7 bytes, sha256 {sha256}\n"
    assert [each.name for each in tmp_path.iterdir()] == ["model.pt"]
    assert (tmp_path / "model.pt").read_bytes() == b"weights"


@pytest.mark.parametrize(
    ("file", "sha256", "message"),
    [
        ("model.pt", "0" * 64, "but model.sha256 is 0000"),
        ("nothing.pt", "", "HTTP Error 404: File not found"),
    ],
)
def test_a_missing_file_or_a_wrong_checksum_is_refused(web, tmp_path, file, sha256, message):
    process = init_container({"model": {"url": f"{web}/{file}", "sha256": sha256}}, tmp_path / "model.pt")
    _, said = process.communicate(timeout=60)

    assert process.returncode == 1
    assert message in said
    assert list(tmp_path.iterdir()) == []


def test_the_init_container_waits_until_the_file_exists(tmp_path):
    values = {"model": {"existingClaim": "weights"}, "training": {"enabled": True}}
    process = init_container(values, tmp_path / "model.pt")
    assert process.stdout.readline() == f"waiting for {tmp_path}/model.pt\n"

    (tmp_path / "model.pt").touch()

    said, _ = process.communicate(timeout=60)
    assert (process.returncode, said) == (0, f"{tmp_path}/model.pt exists\n")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (
            "http://127.0.0.1:9/model.pt",
            "downloaded: [Errno 111] Connection refused; check model.url",
        ),
        ("http://no-such-host.invalid/model.pt", "can't be downloaded: [Errno -"),
        ("http://127.0.0.1:port/model.pt", "downloaded: nonnumeric port: 'port'; check model.url"),
    ],
)
def test_a_download_that_fails_says_one_sentence(tmp_path, url, message):
    process = init_container({"model": {"url": url}}, tmp_path / "model.pt")
    _, said = process.communicate(timeout=60)

    assert process.returncode == 1
    assert message in said
    assert len(said.splitlines()) == 1


def test_a_folder_that_takes_no_file_is_told_in_one_sentence(web, tmp_path):
    (tmp_path / "model.pt.part").mkdir()
    process = init_container({"model": {"url": f"{web}/model.pt"}}, tmp_path / "model.pt")
    _, said = process.communicate(timeout=60)

    assert (process.returncode, said) == (1, f"{tmp_path}/model.pt can't be written: Is a directory\n")
