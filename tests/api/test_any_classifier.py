"""Any image classifier: its card decides what it takes and gives, by every route."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
import requests
import tritonclient.http as triton
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms._presets import ImageClassification

from service import smoke
from tests.support.classifiers import CLASSIFIERS
from tests.support.http import get, post, problem_of
from tests.support.metrics import scrape
from tests.support.pictures import save
from tests.support.process import peak_bytes
from tests.support.server import Server

BINARY = "application/octet-stream"


@pytest.fixture(scope="module", params=CLASSIFIERS)
def served(request, tmp_path_factory):
    """A classifier, a service that serves it, and its weights file."""
    classifier = CLASSIFIERS[request.param]
    folder = tmp_path_factory.mktemp("any")
    path = classifier.write(folder / "weights.pt")
    server = Server(folder / "server.log", {"MODEL_PATH": path})
    yield classifier, server.wait_until_ready(), path
    server.kill()


def with_pictures(method):
    """The classifiers that prepare pictures in this way."""
    return [name for name, each in CLASSIFIERS.items() if each.pictures["method"] == method]


def probabilities_of(classifier, answer):
    """The probabilities in an answer, which has the likeliest alone where there are many classes."""
    if "top" not in answer:
        return dict(zip(classifier.classes, answer["probabilities"], strict=True))
    return {each["label"]: each["probability"] for each in answer["top"]}


def agrees(classifier, answer, expected):
    """Whether an answer is what PyTorch gives."""
    likeliest = int(expected.argmax())
    assert answer[classifier.target] == classifier.classes[likeliest]
    assert answer["confidence"] == pytest.approx(float(expected[likeliest]), abs=1e-4)
    for label, probability in probabilities_of(classifier, answer).items():
        assert probability == pytest.approx(float(expected[classifier.classes.index(label)]), abs=1e-4)
    return True


def test_numbers_in_every_form_get_pytorchs_answer(served):
    classifier, server, _ = served
    images = classifier.images(3)
    expected = classifier.probabilities(images)
    pixels = images / 255

    for image, floats, wanted in zip(images, pixels, expected, strict=True):
        for answer in (
            post(server, {"image": floats.ravel().tolist()}),
            post(server, {"image": floats.tolist()}),
            post(server, image.tobytes(), BINARY),
            post(server, floats.astype("<f4").tobytes(), BINARY),
        ):
            assert agrees(classifier, answer.json(), wanted)
    many = post(server, {"images": pixels.tolist()}).json()["predictions"]
    assert all(agrees(classifier, answer, wanted) for answer, wanted in zip(many, expected, strict=True))


def test_what_is_no_such_image_is_told_in_its_own_numbers(served):
    classifier, server, _ = served
    size = int(np.prod(classifier.sides))
    sides = " x ".join(map(str, classifier.sides))

    short = post(server, {"image": [0] * (size - 1)}).json()
    rows = post(server, {"image": np.zeros(classifier.sides)[1:].tolist()}).json()
    large = post(server, {"image": [0] * (size - 1) + [2]}).json()
    raw = post(server, bytes(size - 1), BINARY).json()

    assert short["detail"].startswith(f"image has {size - 1} pixels; expected {size} ({sides}, ")
    assert rows["detail"] == f"image has {classifier.height - 1} rows; expected {classifier.height}"
    assert large["detail"] == f"image[{size - 1}] is 2.0; pixels are 0..1, so divide by 255"
    assert raw["detail"].startswith(
        f"the body is {size - 1} bytes; expected {size} (uint8, 0..255) or {4 * size}"
    )


def test_as_many_of_the_likeliest_classes_as_are_asked_for(served):
    classifier, server, _ = served
    [image] = classifier.images(1)
    [expected] = classifier.probabilities(image[None])

    answer = post(server, image.tobytes(), BINARY, path="/predict?top=2").json()

    best = np.argsort(-expected)[:2]
    assert [each["label"] for each in answer["top"]] == [classifier.classes[place] for place in best]
    assert "probabilities" not in answer
    for wrong in ("0", "x", "-1", "1" * 30):
        assert problem_of(post(server, image.tobytes(), BINARY, path=f"/predict?top={wrong}")) == (
            422,
            "invalid-option",
        )


def test_tritons_client_gets_the_same(served):
    classifier, server, _ = served
    images = classifier.images(3)
    expected = classifier.probabilities(images)
    shape = [classifier.channels, classifier.height, classifier.width]
    planes = np.moveaxis(images.reshape(3, *shape[1:], shape[0]), -1, 1)
    client = triton.InferenceServerClient(server.url.removeprefix("http://"))

    metadata = client.get_model_metadata("some-classifier")
    for datatype, pixels in (("UINT8", planes), ("FP32", (planes / 255).astype(np.float32))):
        for binary in (True, False):
            tensor = triton.InferInput("image", [3, *shape], datatype)
            tensor.set_data_from_numpy(np.ascontiguousarray(pixels), binary_data=binary)
            outputs = [
                triton.InferRequestedOutput(name, binary_data=binary)
                for name in (classifier.target, "probabilities")
            ]
            result = client.infer("some-classifier", [tensor], outputs=outputs)

            labels = result.as_numpy(classifier.target).tolist()
            labels = [label.decode() if isinstance(label, bytes) else label for label in labels]
            assert labels == [classifier.classes[place] for place in expected.argmax(axis=1)]
            np.testing.assert_allclose(result.as_numpy("probabilities"), expected, atol=1e-4)
    client.close()
    assert metadata["inputs"] == [{"name": "image", "datatype": "FP32", "shape": [-1, *shape]}]
    assert metadata["outputs"][0]["datatype"] == (
        "BYTES" if isinstance(classifier.classes[0], str) else "INT64"
    )


def photograph(width, height, seed=0):
    """A picture with large and small structure, such as photographs have."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (9, 12, 3), np.uint8)).resize((width, height), 3)
    noise = random.normal(0, 10, (height, width, 3))
    return Image.fromarray((np.asarray(coarse) + noise).clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize("served", with_pictures("resize"), indirect=True)
@pytest.mark.parametrize("format_", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("size", [(640, 480), (300, 900), (70, 80), (2000, 1500), (900, 30)], ids=str)
def test_a_picture_is_prepared_as_torchvision_prepares_it(served, format_, size):
    classifier, server, _ = served
    file = save(photograph(*size), format_, quality=90)
    preset = ImageClassification(
        crop_size=classifier.pictures["crop_size"],
        resize_size=classifier.pictures.get("resize_size", classifier.pictures["crop_size"]),
        mean=(0, 0, 0),
        std=(1, 1, 1),
        interpolation=InterpolationMode.BILINEAR,
    )
    with Image.open(io.BytesIO(file)) as opened:
        theirs = preset(opened.convert("RGB")).permute(1, 2, 0).numpy()

    answer = post(server, file, f"image/{format_.lower()}", path="/predict?preview=true").json()
    ours = np.reshape(answer["image"], classifier.sides)

    assert np.abs(ours - theirs).mean() <= 1 / 255
    [expected] = classifier.probabilities((theirs[None] * 255).round().astype(np.uint8))
    assert answer[classifier.target] == classifier.classes[int(expected.argmax())]


@pytest.mark.parametrize("served", with_pictures("resize"), indirect=True)
def test_what_is_transparent_shows_white_paper(served):
    _, server, _ = served
    picture = photograph(800, 700)
    picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    seen = Image.new("RGB", picture.size, "white")
    seen.paste(picture, mask=picture)

    images = [
        post(server, save(each), "image/png", path="/predict?preview=true").json()["image"]
        for each in (picture, seen)
    ]

    np.testing.assert_allclose(*images, atol=1.5 / 255)


@pytest.mark.parametrize("served", with_pictures("resize"), indirect=True)
@pytest.mark.parametrize("size", [(1 << 22, 1), (1, 1 << 22), (100_000, 40)], ids=str)
def test_a_picture_that_is_a_line_takes_no_more_memory_than_its_middle(served, size):
    _, server, _ = served
    before = peak_bytes(server.process.pid)

    answer = post(server, save(Image.new("L", size, "white")), "image/png", path="/predict?preview=true")

    assert np.all(np.equal(answer.json()["image"], 1))
    assert peak_bytes(server.process.pid) - before < 64 << 20


@pytest.mark.parametrize("served", with_pictures("letterbox"), indirect=True)
def test_pictures_and_forms_are_fitted_into_a_frame(served):
    classifier, server, _ = served
    white = save(Image.new("RGB", (4 * classifier.width, classifier.height), "white"))

    answer = post(server, white, "image/png", path="/predict?preview=true").json()
    form = requests.post(
        f"{server.url}/predict?preview=true", files={"a": ("a.png", white)}, timeout=10
    ).json()

    rows = np.reshape(answer["image"], classifier.sides).mean(axis=1)
    height = round(classifier.height / 4)
    top = (classifier.height - height) // 2
    assert form == answer
    assert set(rows[top : top + height].tolist()) == {1.0}
    assert rows.sum() == height


def test_metrics_and_documents_speak_of_its_classes(served):
    classifier, server, _ = served
    [image] = classifier.images(1)
    assert post(server, image.tobytes(), BINARY).status_code == 200

    counted = [labels for name, *labels in scrape(server) if name == "predictions_total"]
    labels = [dict(each)[classifier.target] for each in counted]
    document = get(server, "/openapi.json").json()

    assert labels == [
        *map(str, classifier.classes[:100]),
        *(["other"] if len(classifier.classes) > 100 else []),
    ]
    assert classifier.target in document["components"]["schemas"]["Prediction"]["required"]
    assert "digit" not in json.dumps(document["components"])


def test_the_smoke_test_judges_its_golden_cases(served, capsys):
    _, server, path = served

    assert smoke.main([server.url, "--model", str(path)]) == 0
    assert capsys.readouterr().out == "3 of 3 answers are right\n"
