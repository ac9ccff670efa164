"""Clients that generators make of the saved description work, in Python and in TypeScript."""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys

import pytest
import yaml

from tests.support.classifiers import CLASSIFIERS
from tests.support.http import SEVEN, get
from tests.support.paths import DATA, ROOT

pytestmark = pytest.mark.slow

TYPESCRIPT = ROOT / "tests" / "support" / "typescript"
# The generator knows files by this type alone.
FILES = ("image/png", "image/jpeg", "image/jpg", "image/webp", "image/*")
CONFIG = {
    "package_name_override": "generated_client",
    "content_type_overrides": dict.fromkeys(FILES, "application/octet-stream"),
    "post_hooks": [],
}


def run(*command, cwd):
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


@pytest.fixture
def generate(tmp_path, monkeypatch):
    """Generate the Python client of a service, import it, and forget it afterwards."""

    def generate(server):
        (tmp_path / "openapi.json").write_bytes(get(server, "/openapi.json").content)
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(CONFIG))
        said = run(
            *(sys.executable, "-m", "openapi_python_client", "generate", "--path", "openapi.json"),
            *("--config", "config.yaml", "--output-path", "python", "--overwrite", "--fail-on-warning"),
            cwd=tmp_path,
        )
        assert "WARNING" not in said
        monkeypatch.syspath_prepend(tmp_path / "python")
        return importlib.import_module("generated_client")

    yield generate
    for name in [name for name in sys.modules if name.partition(".")[0] == "generated_client"]:
        del sys.modules[name]


def test_the_python_client_predicts(generate, live_server):
    generated = generate(live_server)
    predict = importlib.import_module("generated_client.api.predictions.predict")
    infer = importlib.import_module("generated_client.api.open_inference_protocol.infer")
    models = importlib.import_module("generated_client.models")
    types = importlib.import_module("generated_client.types")
    image = json.loads(SEVEN)["image"]

    with generated.Client(base_url=live_server.url) as client:
        one = predict.sync(client=client, body=models.OneImage(image=image))
        many = predict.sync(client=client, body=models.ManyImages(images=[image, image]))
        wrong = predict.sync(client=client, body=models.OneImage(image=[0.0]))
        tensor = models.InferRequestInputsItem.from_dict(
            {"name": "image", "datatype": "FP32", "shape": [1, 784], "data": image}
        )
        inferred = infer.sync("mnist-cnn", client=client, body=models.InferRequest(inputs=[tensor]))

    assert isinstance(one, models.Prediction)
    assert one.digit == 7
    assert one.model.name == "mnist-cnn"
    assert [each.digit for each in many.predictions] == [7, 7]
    assert isinstance(wrong, models.Problem)
    assert wrong.detail == "image has 1 pixels; expected 784 (28 x 28, row by row)"
    assert inferred.outputs[0].data == [7]
    assert types.File


def test_the_python_client_of_another_model(generate, start_server, tmp_path):
    classifier = CLASSIFIERS["two classes, 64 x 64 in colour"]
    server = start_server(MODEL_PATH=classifier.write(tmp_path / "weights.pt"))
    generated = generate(server)
    predict = importlib.import_module("generated_client.api.predictions.predict")
    models = importlib.import_module("generated_client.models")
    image = classifier.images(1)

    with generated.Client(base_url=server.url) as client:
        answer = predict.sync(client=client, body=models.OneImage(image=(image[0] / 255).tolist()))

    expected = classifier.probabilities(image)[0]
    assert answer.label == classifier.classes[expected.argmax()]
    assert answer.probabilities == pytest.approx(expected.tolist(), abs=1e-4)


def test_the_typescript_client_is_typed_and_predicts(live_server, tmp_path):
    shutil.copytree(TYPESCRIPT, tmp_path, dirs_exist_ok=True)
    (tmp_path / "openapi.json").write_bytes(get(live_server, "/openapi.json").content)

    run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=tmp_path)
    run("npx", "--no-install", "openapi-typescript", "openapi.json", "--output", "api.d.ts", cwd=tmp_path)
    options = ("--strict", "--target", "es2022", "--module", "nodenext", "--skipLibCheck", "--types", "node")
    run("npx", "--no-install", "tsc", *options, "client.ts", cwd=tmp_path)
    said = json.loads(run("node", "client.js", live_server.url, DATA / "digit-7.json", cwd=tmp_path))

    assert said["prediction"]["digit"] == 7
    assert said["model"] == "mnist-cnn"
    assert said["problem"] == "image has 1 pixels; expected 784 (28 x 28, row by row)"
