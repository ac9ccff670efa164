"""Where the weights come from: the mounts, and the scripts of the init containers, which are really run."""

from __future__ import annotations

import contextlib
import hashlib
import re
import resource
import signal
import subprocess
import sys
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import helm_python
import kubernetes_validate
import pytest

import service
from service.settings import BUNDLED_MODEL, Settings
from tests.support.wait import until
from tools import helm

WEIGHTS = Path(BUNDLED_MODEL).read_bytes()
LARGE = 96 * 2**20


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
    source = pod({})["metadata"]["annotations"]["rust-ml-api/model-source"]
    assert source == f"image rust-ml-api:{service.__version__}"


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


def test_an_image_is_mounted_as_a_volume():
    values = {"model": {"image": "registry.example.com/weights:2", "file": "models/cats.pt"}}
    [deployment] = [each for each in helm.render(values) if each["kind"] == "Deployment"]

    kubernetes_validate.validate(deployment, helm.NEWEST, strict=True)
    assert model_volume(values)["image"] == {
        "reference": "registry.example.com/weights:2",
        "pullPolicy": "IfNotPresent",
    }
    assert environment(values)["MODEL_PATH"] == "/models/models/cats.pt"
    assert (
        pod(values)["metadata"]["annotations"]["rust-ml-api/model-source"]
        == "volume registry.example.com/weights:2"
    )
    assert "initContainers" not in pod(values)["spec"]


def test_an_older_cluster_can_not_mount_an_image():
    with pytest.raises(helm_python.HelmError, match=r"runs Kubernetes v1\.32\.0: images can be mounted as"):
        helm.render({"model": {"image": "weights:2"}}, kube_version="1.32.0")


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


def test_the_test_pod_takes_files_as_large_as_the_release_does():
    values = {"settings": {"maxModelBytes": 2**31}}
    [container] = helm.find(helm.render(values), "Pod")["spec"]["containers"]

    assert container["env"] == [{"name": "MAX_MODEL_BYTES", "value": str(2**31)}]


class Web(SimpleHTTPRequestHandler):
    """Serves the files of a folder, and what no weights file is, in many wrong ways."""

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        if answer := getattr(self, f"_{self.path.lstrip('/')}", None):
            answer()
        else:
            super().do_GET()

    def _send(self, data, *, status=200, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(data)

    def _announced(self):
        self._send(b"", Content_Length=str(2**40))

    def _endless(self):
        self._send(b"")
        with contextlib.suppress(ConnectionError):
            while True:
                self.wfile.write(bytes(65536))

    def _short(self):
        self._send(b"PK", Content_Length="100")

    def _empty(self):
        self._send(b"", Content_Length="0")

    def _page(self):
        self._send(b"<!DOCTYPE html><title>Log in</title>")

    def _length(self):
        self._send(b"a", Content_Length="many")

    def _chunks(self):
        self.protocol_version = "HTTP/1.1"
        self.close_connection = True
        self._send(b"64\r\nPK", Transfer_Encoding="chunked")

    def _forbidden(self):
        self._send(b"", status=403)

    def _circle(self):
        self._send(b"", status=302, Location="/circle")

    def _file(self):
        self._send(b"", status=302, Location="file:///etc/passwd")

    def _silent(self):
        self.server.stopped.wait(60)

    def _drip(self):
        self._send(b"P")
        while not self.server.stopped.wait(0.05):
            try:
                self.wfile.write(b"P")
            except ConnectionError:
                return


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    """The address of a web server that has the bundled weights as model.pt, and much that is none."""
    folder = tmp_path_factory.mktemp("web")
    (folder / "model.pt").write_bytes(WEIGHTS)
    (folder / "large.pt").write_bytes(WEIGHTS)
    with zipfile.ZipFile(folder / "large.pt", "a") as archive:
        archive.writestr("archive/data/large", bytes(LARGE))
    with zipfile.ZipFile(folder / "other.zip", "w") as archive:
        archive.writestr("archive/data.pkl", b"")

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Web, directory=folder)) as server:
        server.daemon_threads = True
        server.stopped = threading.Event()
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.stopped.set()
        server.shutdown()


def init_container(values, path, *, limits=(), **constants):
    """Run the init container's own command, with its own arguments, on a path of this machine.

    Limits are of its resources. A constant is set to another value, so that no test takes ten minutes.
    """
    [container] = pod(values)["spec"]["initContainers"]
    arguments = [str(path) if each == "/models/mnist_cnn.pt" else each for each in container["args"]]
    command = [sys.executable, *container["command"][1:], *arguments]
    for name, value in constants.items():
        command[2], found = re.subn(f"(?m)^{name} = .*$", f"{name} = {value}", command[2])
        assert found == 1

    def limit():
        for name, most in dict(limits).items():
            resource.setrlimit(name, (most, most))

    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=limit
    )


def test_weights_are_downloaded_and_checked(web, tmp_path):
    sha256 = hashlib.sha256(WEIGHTS).hexdigest()
    values = {"model": {"url": f"{web}/model.pt", "sha256": sha256}}

    process = init_container(values, tmp_path / "model.pt")
    said, _ = process.communicate(timeout=60)

    assert process.returncode == 0
    assert said == f"{tmp_path}/model.pt: {len(WEIGHTS)} bytes, sha256 {sha256}\n"
    assert [each.name for each in tmp_path.iterdir()] == ["model.pt"]
    assert (tmp_path / "model.pt").read_bytes() == WEIGHTS


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
            "downloaded: Connection refused; check model.url",
        ),
        (
            "http://no-such-host.invalid/model.pt",
            "can't be downloaded: the name of the host can't be resolved: ",
        ),
        ("http://[::1/model.pt", "can't be downloaded: Invalid IPv6 URL; check model.url"),
        ("http:///model.pt", "can't be downloaded: no host given; check model.url"),
        ("http://127.0.0.1:9/é.pt", "downloaded: it has characters that must be percent-encoded; check"),
        ("http://127.0.0.1:99999/model.pt", "can't be downloaded: "),
        ("http://127.0.0.1:port/model.pt", "downloaded: nonnumeric port: 'port'; check model.url"),
    ],
)
def test_a_download_that_fails_says_one_sentence(tmp_path, url, message):
    process = init_container({"model": {"url": url}}, tmp_path / "model.pt")
    _, said = process.communicate(timeout=60)

    assert process.returncode == 1
    assert message in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("forbidden", "can't be downloaded: HTTP Error 403: Forbidden; check model.url"),
        ("circle", "can't be downloaded: HTTP Error 302: "),
        ("file", "can't be downloaded: HTTP Error 302: "),
        ("length", "can't be downloaded: invalid literal for int() with base 10: 'many'; check model.url"),
        ("announced", "is larger than 2000000 bytes, the limit for a weights file (settings.maxModelBytes)"),
        ("endless", "is larger than 2000000 bytes, the limit for a weights file (settings.maxModelBytes)"),
        ("short", "can't be downloaded: the connection ended after 2 of 100 bytes"),
        ("chunks", "can't be downloaded: the connection ended before the file did; check model.url"),
        (
            "page",
            "is no weights file: its 36 bytes begin with b'<!DOCTYPE html><titl' and are no TorchScript",
        ),
        ("empty", "is no weights file: its 0 bytes begin with b'' and are no TorchScript"),
        ("other.zip", "bytes begin with b'PK"),
    ],
)
def test_what_is_no_weights_file_is_told_in_one_sentence(web, tmp_path, file, message):
    values = {"model": {"url": f"{web}/{file}"}, "settings": {"maxModelBytes": 2000000}}
    process = init_container(values, tmp_path / "model.pt")
    _, said = process.communicate(timeout=60)

    assert process.returncode == 1
    assert message in said
    assert len(said.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("file", "constants", "message"),
    [
        ("silent", {"SILENT_SECONDS": 0.5}, "can't be downloaded: nothing came for 0.5 s; check model.url"),
        ("drip", {"ALL_SECONDS": 0.5}, "bytes came in 0.5 s"),
    ],
)
def test_a_server_may_neither_be_silent_nor_slow_without_end(web, tmp_path, file, constants, message):
    process = init_container({"model": {"url": f"{web}/{file}"}}, tmp_path / "model.pt", **constants)
    _, said = process.communicate(timeout=60)

    assert process.returncode == 1
    assert message in said
    assert len(said.splitlines()) == 1


def test_a_server_without_tls_is_told_in_one_sentence(web, tmp_path):
    url = web.replace("http:", "https:") + "/model.pt"
    process = init_container({"model": {"url": url}}, tmp_path / "model.pt")
    _, said = process.communicate(timeout=60)

    assert process.returncode == 1
    assert said.startswith(f"{url} can't be downloaded: ")
    assert len(said.splitlines()) == 1


def test_a_full_disk_is_told_in_one_sentence(web, tmp_path):
    (tmp_path / "model.pt.part").symlink_to("/dev/full")
    process = init_container({"model": {"url": f"{web}/model.pt"}}, tmp_path / "model.pt")
    _, said = process.communicate(timeout=60)

    assert (process.returncode, said) == (
        1,
        f"{tmp_path}/model.pt can't be written: No space left on device\n",
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("spare", "status"), [(0, 0), (-1, 1)])
def test_a_weights_file_may_have_as_many_bytes_as_the_service_takes(web, tmp_path, spare, status):
    limit = len(WEIGHTS) + spare
    values = {"model": {"url": f"{web}/model.pt"}, "settings": {"maxModelBytes": limit}}
    process = init_container(values, tmp_path / "model.pt")
    _, said = process.communicate(timeout=60)

    assert process.returncode == status
    assert (f"is larger than {limit} bytes" in said) is bool(status)


def test_a_file_larger_than_the_memory_is_downloaded(web, tmp_path):
    values = {"model": {"url": f"{web}/large.pt"}}
    process = init_container(values, tmp_path / "model.pt", limits={resource.RLIMIT_DATA: LARGE // 2})
    said, complaint = process.communicate(timeout=60)

    assert (process.returncode, complaint) == (0, "")
    assert int(said.split()[1]) == (tmp_path / "model.pt").stat().st_size > LARGE


def test_a_disk_that_takes_a_part_of_the_last_block_is_told_in_one_sentence(web, tmp_path):
    """A limit on the size of files does it, too: a write up to it is short, and only the next one fails."""
    values = {"model": {"url": f"{web}/model.pt"}}
    limits = {resource.RLIMIT_FSIZE: len(WEIGHTS) - 1}
    process = init_container(values, tmp_path / "model.pt", limits=limits, BLOCK_BYTES=len(WEIGHTS))
    _, said = process.communicate(timeout=60)

    assert process.returncode == 1
    assert re.fullmatch(r".*/model\.pt can't be written: (No space left on device|File too large)\n", said)
    assert list(tmp_path.iterdir()) == []


def test_a_path_that_is_a_folder_is_told_in_one_sentence(web, tmp_path):
    (tmp_path / "model.pt").mkdir()
    process = init_container({"model": {"url": f"{web}/model.pt"}}, tmp_path / "model.pt")
    _, said = process.communicate(timeout=60)

    assert (process.returncode, said) == (1, f"{tmp_path}/model.pt can't be written: Is a directory\n")
    assert [each.name for each in tmp_path.iterdir()] == ["model.pt"]


def test_without_the_value_a_download_has_the_services_own_limit():
    values = {"model": {"url": "http://a.example/m.pt"}, "settings": {"maxModelBytes": None}}
    [container] = pod(values)["spec"]["initContainers"]

    assert container["args"][-1] == str(Settings().max_model_bytes)
    assert int(model_volume(values)["emptyDir"]["sizeLimit"]) > Settings().max_model_bytes


def test_a_download_is_limited_as_the_service_limits_a_weights_file():
    values = {"model": {"url": "http://a.example/m.pt"}, "settings": {"maxModelBytes": 2000000000}}
    spec = pod(values)["spec"]
    [container] = spec["initContainers"]

    assert container["args"][-1] == "2000000000"
    [volume] = [each for each in spec["volumes"] if each["name"] == "model"]
    assert int(volume["emptyDir"]["sizeLimit"]) > 2000000000
    assert container["terminationMessagePolicy"] == "FallbackToLogsOnError"


@pytest.mark.parametrize("source", ["url", "training"])
def test_an_init_container_that_is_stopped_says_so(web, tmp_path, source):
    """The first process of a container ignores SIGTERM where it has no handler for it."""
    values = {
        "url": {"model": {"url": f"{web}/drip"}},
        "training": {"model": {"existingClaim": "weights"}, "training": {"enabled": True}},
    }
    process = init_container(values[source], tmp_path / "model.pt")
    until(lambda: signal.SIGTERM in caught_signals(process.pid))

    process.terminate()

    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert re.fullmatch(r"stopped before .*\n", said)


def caught_signals(pid):
    [mask] = re.findall(r"SigCgt:\s+(\w+)", Path(f"/proc/{pid}/status").read_text())
    return {each for each in signal.Signals if int(mask, 16) >> (each - 1) & 1}


def test_a_folder_that_takes_no_file_is_told_in_one_sentence(web, tmp_path):
    (tmp_path / "model.pt.part").mkdir()
    process = init_container({"model": {"url": f"{web}/model.pt"}}, tmp_path / "model.pt")
    _, said = process.communicate(timeout=60)

    assert (process.returncode, said) == (1, f"{tmp_path}/model.pt can't be written: Is a directory\n")
