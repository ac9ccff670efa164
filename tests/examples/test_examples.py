"""Each example, by the commands of its README, from the model's own code to an answer like PyTorch's."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import functional as transforms

from tests.support.paths import ROOT
from tests.support.readme import commands, run

pytestmark = pytest.mark.slow
EXAMPLES = sorted(path.parent.name for path in (ROOT / "examples").glob("*/README.md"))


@pytest.fixture
def photo(tmp_path):
    """Colours that run into each other, as photo.jpg."""
    noise = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    picture = Image.fromarray(noise).resize((500, 375), Image.Resampling.BICUBIC)
    picture.save(tmp_path / "photo.jpg", quality=95)
    return picture


@pytest.fixture
def follow(tmp_path, start_server):
    """Run an example's commands; return what each printed, and the weights file that was served."""

    def follow(name):
        printed, server, served = [], None, None
        for command in commands(ROOT / "examples" / name / "README.md"):
            if command.endswith("python -m service"):
                settings = dict(word.split("=") for word in command.split()[:-3])
                served = tmp_path / settings["MODEL_PATH"]
                server = start_server(MODEL_PATH=served)
            else:
                printed.append(run(command, tmp_path, server))
        return printed, served

    return follow


def probabilities(path, image):
    """What PyTorch itself makes of one image, [1, C, H, W] in 0..1, with the module in a weights file."""
    with torch.inference_mode():
        return torch.jit.load(path)(image).softmax(1)[0].numpy()


def imagenet(picture, *, buffer):
    """A picture as torchvision's preset prepares it, but for the normalisation."""
    picture.save(buffer, "JPEG", quality=95)
    decoded = Image.open(buffer).convert("RGB")
    small = transforms.center_crop(transforms.resize(decoded, [256]), [224, 224])
    return transforms.to_tensor(small).unsqueeze(0)


def test_every_example_is_run():
    assert EXAMPLES == ["digits-8x8", "from-torchserve", "resnet18"]
    for name in EXAMPLES:
        assert len((ROOT / "examples" / name / "README.md").read_text().splitlines()) < 50


def test_digits_8x8(follow, tmp_path):
    (trained, packaged, checked, answered), served = follow("digits-8x8")

    assert float(trained.split("%")[0]) > 95
    assert "10 classes; input 1x8x8; 4 golden cases of noise" in packaged
    assert "golden cases: 4 agree" in checked
    answer = json.loads(answered)
    image = json.loads((ROOT / "examples" / "digits-8x8" / "three.json").read_text())["image"]
    expected = probabilities(served, torch.tensor(image).view(1, 1, 8, 8))
    assert answer["label"] == "3"
    np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-4)


def test_resnet18(follow, photo, tmp_path):
    (_, packaged, answered), served = follow("resnet18")

    assert "1000 classes; input 3x224x224" in packaged
    expected = probabilities(served, imagenet(photo, buffer=io.BytesIO()))
    top = json.loads(answered)["top"]
    names = (tmp_path / "imagenet.txt").read_text().splitlines()
    assert top[0]["label"] == names[expected.argmax()]
    for one in top:
        assert one["probability"] == pytest.approx(expected[names.index(one["label"])], abs=1e-4)


def test_from_torchserve(follow, photo):
    (_, _, packaged, pinged, answered, described), served = follow("from-torchserve")

    assert "a TorchServe archive (image_classifier); 5 classes; input 3x224x224" in packaged
    assert json.loads(pinged) == {"status": "Healthy"}
    assert json.loads(described)[0]["modelName"] == "flowers"
    expected = probabilities(served, imagenet(photo, buffer=io.BytesIO()))
    answer = json.loads(answered)
    assert list(answer.values()) == sorted(answer.values(), reverse=True)
    given = [answer[name] for name in ("daisy", "dandelion", "roses", "sunflowers", "tulips")]
    np.testing.assert_allclose(given, expected, atol=1e-3)
