"""`python -m training.package`: any classifier becomes a weights file, or is told why it can not."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from service.inference.model import load_model
from service.inference.prediction import predictions
from tests.support.classifiers import CLASSIFIERS
from tests.support.weights import npz, refusal
from training.package import main

COLOUR = CLASSIFIERS["two classes, 64 x 64 in colour"]
SAY = ["--input", "3x64x64", "--classes", "cat,dog", "--pictures", "resize:72,crop:64"]


@pytest.fixture
def scripted(tmp_path):
    path = tmp_path / "my.pt"
    torch.jit.script(COLOUR.module()).save(path)
    return path


def served(path, images):
    """What the service computes for images."""
    model = load_model(path, batch_sizes=(len(images),))
    with torch.inference_mode():
        return model, model.logits(images.reshape(len(images), -1).astype(np.float32) / 255)


def test_a_torchscript_file_is_served_as_pytorch_computes_it(tmp_path, scripted, capsys):
    out = tmp_path / "out.pt"

    assert main([str(scripted), *SAY, "--mean", "0.5,0.4,0.3", "--std", "0.2", "--out", str(out)]) == 0

    images = COLOUR.images(4)
    model, logits = served(out, images)
    pixels = torch.from_numpy(images).float().div(255).permute(0, 3, 1, 2)
    mean = torch.tensor([0.5, 0.4, 0.3]).view(1, 3, 1, 1)
    with torch.no_grad():
        expected = COLOUR.module()((pixels - mean) / 0.2).numpy()
    np.testing.assert_allclose(logits, expected, atol=1e-4)
    assert (model.card.name, model.card.classes) == ("my", ("cat", "dog"))
    said = capsys.readouterr().out
    assert "a TorchScript file; 2 classes; input 3x64x64; 4 golden cases of noise" in said
    assert f"MODEL_PATH={out} make serve" in said
    assert "helm upgrade --install rust-ml-api" in said


def test_the_same_model_gives_the_same_file(tmp_path, scripted):
    for name in ("one.pt", "two.pt"):
        assert main([str(scripted), *SAY, "--out", str(tmp_path / name)]) == 0

    assert (tmp_path / "one.pt").read_bytes() == (tmp_path / "two.pt").read_bytes()


def test_the_accuracy_that_is_said_is_what_a_floor_asks_for(tmp_path, scripted):
    out = tmp_path / "out.pt"

    assert main([str(scripted), *SAY, "--accuracy", "0.97", "--out", str(out)]) == 0

    assert load_model(out, min_accuracy=0.97).card.details["metrics"] == {"test_accuracy": 0.97}
    assert refusal(out, min_accuracy=0.98) == (
        "has a test accuracy of 0.97; at least 0.98 is asked for (MODEL_MIN_ACCURACY)"
    )


class Brightness(torch.nn.Module):
    """The brighter an image, the larger its logits; a second output turns them into probabilities."""

    def __init__(self, *, softmax: bool) -> None:
        super().__init__()
        self.softmax = softmax

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        light = images.mean(dim=[1, 2, 3])
        logits = torch.stack([9 * light, light], dim=1)
        return logits.softmax(1) if self.softmax else logits


@pytest.fixture
def levels(tmp_path):
    """Bright pictures and dark ones, in a folder each."""
    for folder, greys in (("bright", range(100, 250, 10)), ("dark", (*range(0, 60, 20), 150))):
        (tmp_path / folder).mkdir()
        for grey in greys:
            Image.new("L", (8, 8), grey).save(tmp_path / folder / f"{grey}.png")
    return ["--examples", str(tmp_path / "bright"), "--outlier-examples", str(tmp_path / "dark")]


def test_outliers_are_told_by_the_energy_of_the_examples(tmp_path, levels, capsys):
    path, out = tmp_path / "light.pt", tmp_path / "out.pt"
    torch.jit.script(Brightness(softmax=False).eval()).save(path)
    arguments = [str(path), "--input", "1x8x8", "--classes", "light,dark", "--out", str(out), *levels]

    assert main([*arguments, "--outlier-rate", "0.1"]) == 0

    said = capsys.readouterr().out
    assert "are 3 of 4 pictures of none of the classes, and 1 of 15 of the classes; AUROC 0.908" in said
    model = load_model(out, batch_sizes=(2,))
    with torch.inference_mode():
        logits = model.logits(np.repeat([[0.39], [0.44]], 64, axis=1).astype(np.float32))
    assert [each.outlier for each in predictions(logits, model.card)] == [True, False]


def test_outliers_can_not_be_told_from_probabilities(tmp_path, levels, capsys):
    path = tmp_path / "light.pt"
    torch.jit.script(Brightness(softmax=True).eval()).save(path)

    assert main([str(path), "--input", "1x8x8", "--classes", "light,dark", *levels]) == 1

    assert "--outlier-examples needs logits" in capsys.readouterr().err


def test_golden_cases_are_made_of_example_pictures(tmp_path, scripted, capsys):
    folder = tmp_path / "photos"
    folder.mkdir()
    for place, size in enumerate([(100, 80), (80, 100), (300, 300)]):
        Image.fromarray(np.random.default_rng(place).integers(0, 256, (*size, 3), np.uint8)).save(
            folder / f"{place}.png"
        )

    assert main([str(scripted), *SAY, "--examples", str(folder), "--out", str(tmp_path / "out.pt")]) == 0

    assert f"3 golden cases of the pictures in {folder}" in capsys.readouterr().out
    assert load_model(tmp_path / "out.pt").golden.images.shape == (3, 64 * 64 * 3)


def test_a_torchserve_archive_of_its_image_classifier(tmp_path, capsys):
    module = torch.nn.Sequential(
        torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten(), torch.nn.Linear(12, 2)
    ).eval()
    torch.jit.script(module).save(tmp_path / "model.pt")
    manifest = {"model": {"modelName": "Cats", "serializedFile": "model.pt", "handler": "image_classifier"}}
    with zipfile.ZipFile(tmp_path / "cats.mar", "w") as archive:
        archive.writestr("MAR-INF/MANIFEST.json", json.dumps(manifest))
        archive.write(tmp_path / "model.pt", "model.pt")
        archive.writestr("index_to_name.json", json.dumps({"0": ["n1", "tabby"], "1": "dog"}))

    assert main([str(tmp_path / "cats.mar"), "--out", str(tmp_path / "out.pt")]) == 0

    card = load_model(tmp_path / "out.pt").card
    assert (card.name, card.classes, str(card.shape)) == ("Cats", ("tabby", "dog"), "224 x 224 x 3")
    assert (card.pictures.resize_size, card.pictures.crop_size) == (256, 224)
    assert "a TorchServe archive (image_classifier)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (
            {"0": ["n02012849", "crane"], "1": ["n03126707", "crane"], "2": ["n02123045", "tabby"]},
            ("n02012849 crane", "n03126707 crane", "tabby"),  # as in the file for ImageNet
        ),
        ({"object_type_names": ["cat", "dog", "cow"]}, ("cat", "dog", "cow")),
        (["cat", "dog", "cow"], ("cat", "dog", "cow")),
    ],
    ids=["two cranes", "object_type_names", "list"],
)
def test_the_forms_of_index_to_name(tmp_path, content, names):
    path = tmp_path / "index_to_name.json"
    path.write_text(json.dumps(content))
    torch.jit.script(linear(3)).save(tmp_path / "my.pt")

    assert (
        main([str(tmp_path / "my.pt"), *SAY, "--classes", str(path), "--out", str(tmp_path / "out.pt")]) == 0
    )

    assert load_model(tmp_path / "out.pt").card.classes == names


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("5", "the names of the classes are neither an object nor a list"),
        ('{"0": "cat", "2": "dog"}', "the names of the classes lack the index '1'"),
        ('["cat", "cat"]', "1 names of classes are there twice, such as 'cat'"),
    ],
)
def test_an_index_to_name_that_is_none_is_told_why(tmp_path, scripted, content, reason, capsys):
    path = tmp_path / "index_to_name.json"
    path.write_text(content)

    assert main([str(scripted), *SAY, "--classes", str(path), "--out", str(tmp_path / "out.pt")]) == 1
    assert reason in capsys.readouterr().err


def test_a_function_that_returns_a_module(tmp_path):
    out = tmp_path / "out.pt"
    names = tmp_path / "names.txt"
    names.write_text("".join(f"class {place}\n" for place in range(1000)))

    assert (
        main(
            [
                "torchvision.models:squeezenet1_1",
                "--preset",
                "imagenet",
                "--classes",
                str(names),
                "--out",
                str(out),
            ]
        )
        == 0
    )

    assert len(load_model(out).card.classes) == 1000


class Pair(torch.nn.Module):
    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return images, images


class OneAtATime(torch.nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.view(1, -1)[:, :2]


def linear(classes=2):
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 64 * 64, classes))


class Forgetful(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = linear()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.linear(torch.dropout(images, 0.5, True))


class Endless(torch.nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1)[:, :2] / 0


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (linear(3), "gives [1, 3] for 1 images; expected a logit for each of 2 classes"),
        (linear().half(), "the module has torch.float16; call .float() before saving it"),
        (linear().double(), "the module has torch.float64; call .float() before saving it"),
        (Pair(), "the module gives a tuple; expected a tensor of logits"),
        (OneAtATime(), "the module takes one image, but no batch of three"),
        (Forgetful(), "save the module after .eval()"),
        (torch.nn.Linear(5, 2), "the module does not take float32 [1, 3, 64, 64]: mat1 and mat2"),
        (Endless(), "the module gives logits that are no finite numbers"),
    ],
    ids=["width", "half", "double", "pair", "fixed batch", "training mode", "shape", "not a number"],
)
def test_a_module_that_can_not_be_served_is_told_why(tmp_path, module, reason, capsys):
    torch.jit.script(module).save(tmp_path / "my.pt")

    assert main([str(tmp_path / "my.pt"), *SAY, "--out", str(tmp_path / "out.pt")]) == 1

    said = capsys.readouterr().err
    assert said.startswith("training.package: ")
    assert reason in said
    assert not (tmp_path / "out.pt").exists()


def save_exported(path):
    torch.export.save(torch.export.export(linear(), (torch.zeros(1, 3, 64, 64),)), path)


@pytest.mark.parametrize(
    ("save", "reason"),
    [
        (
            lambda path: torch.save(linear().state_dict(), path),
            "a state dict or a pickled module, not Tor",
        ),
        (lambda path: torch.save(linear(), path), "a state dict or a pickled module, not Tor"),
        (lambda path: path.write_bytes(b"rubbish"), "is not TorchScript"),
        (
            lambda path: torch.export.save(torch.export.export(linear(), (torch.zeros(1, 3, 64, 64),)), path),
            ".pt2",
        ),
        (str, "is neither a file nor module:factory"),
        (lambda path: path.write_bytes(npz(a=np.zeros(3))), "is a ZIP file, not TorchScript"),
        (lambda path: path.write_bytes(b"\x08\x07\x12\x07pytorch"), "is not TorchScript"),
        (lambda path: path.mkdir(), "Is a directory"),
    ],
    ids=["state dict", "pickle", "rubbish", "pt2", "missing", "another ZIP file", "ONNX", "a folder"],
)
def test_a_file_that_is_no_torchscript_is_called_what_it_is(tmp_path, save, reason, capsys):
    path = tmp_path / "my.pt2"
    save(path)

    assert main([str(path), *SAY, "--out", str(tmp_path / "out.pt")]) == 1
    assert reason in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--classes", ""], "the names of the classes are missing"),
        (["--classes", "nowhere"], "--classes is 'nowhere'; expected a file, or names such as cat,dog"),
        (["--input", "64x64"], "--input is '64x64'; expected channels x height x width, such as 3x224x224"),
        (["--input", "2x64x64"], "--input is '2x64x64'"),
        (["--pictures", "resize:72,crop:32"], "--pictures crops to 32 x 32, but --input is 64 x 64"),
        (["--pictures", "squash"], "--pictures is 'squash'"),
        (["--mean", "a,b"], "'a,b' are not numbers"),
        (["--mean", "1,2"], "'1,2' are 2 numbers; the input has 3 channels"),
        (["--examples", "."], "has no pictures"),
        (["--examples", "nowhere"], "No such file or directory: 'nowhere'"),
        (["--std", "0.2,0,0.2"], "--std has a number that is not above 0"),
        (["--classes", "cat,cat"], "1 names of classes are there twice, such as 'cat'"),
        (["--classes", "cat,"], "the class '' is no printable text"),
        (["--accuracy", "97"], "--accuracy is '97'; expected a number from 0 to 1, such as 0.97"),
        (["--accuracy", "97%"], "--accuracy is '97%'"),
        (["--accuracy", "nan"], "--accuracy is 'nan'"),
        (["--outlier-examples", "."], "--outlier-examples needs --examples"),
        (["--examples", "photos", "--outlier-examples", "."], "has no pictures"),
        (
            ["--examples", "photos", "--outlier-examples", "photos", "--outlier-rate", "2"],
            "--outlier-rate is '2'; expected a number from 0 to 1",
        ),
        (["--classes", "one.txt"], "there is one class, 'only'; a classifier has two at least"),
        (["--classes", "gap.json"], "the names of the classes lack the index '0'"),
        (["--classes", "bad.json"], "the names of the classes are no JSON"),
    ],
)
def test_options_that_can_not_be_are_told(tmp_path, scripted, arguments, reason, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.txt").write_text("only\n")
    (tmp_path / "gap.json").write_text('{"1": "cat", "2": "dog"}')
    (tmp_path / "bad.json").write_text("{")
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (64, 64)).save(tmp_path / "photos" / "black.png")

    assert main([str(scripted), *SAY, *arguments, "--out", str(tmp_path / "out.pt")]) == 1
    assert reason in capsys.readouterr().err


def test_a_damaged_example_is_told(tmp_path, scripted, capsys):
    (tmp_path / "bad.png").write_bytes(b"no picture")

    assert main([str(scripted), *SAY, "--examples", str(tmp_path), "--out", str(tmp_path / "out.pt")]) == 1
    assert "cannot identify image file" in capsys.readouterr().err


def test_a_function_that_fails_is_told(tmp_path, capsys):
    wrong = {
        "torchvision.models:nothing": "has no attribute 'nothing'",
        "no.such.module:make": "No module named 'no'",
        "torch:zeros": "can't be called: ",
        "os:getcwd": "gives a str; expected a torch.nn.Module",
    }
    for name, reason in wrong.items():
        assert main([name, *SAY, "--out", str(tmp_path / "out.pt")]) == 1
        assert reason in capsys.readouterr().err


@pytest.mark.parametrize("traced", [False, True], ids=["scripted", "traced"])
def test_a_softmax_at_the_end_is_undone(tmp_path, capsys, traced):
    module = torch.nn.Sequential(COLOUR.module(), torch.nn.Softmax(dim=1))
    example = torch.zeros(1, 3, 64, 64)
    (torch.jit.trace(module, example) if traced else torch.jit.script(module)).save(tmp_path / "my.pt")
    out = tmp_path / "out.pt"

    assert main([str(tmp_path / "my.pt"), *SAY, "--out", str(out)]) == 0

    images = COLOUR.images(3)
    _, logits = served(out, images)
    softmax = torch.from_numpy(logits).softmax(dim=1)
    np.testing.assert_allclose(softmax, COLOUR.probabilities(images), atol=1e-5)
    assert "; the softmax at its end is undone" in capsys.readouterr().out
