"""Photos and large images are read; together, bodies that are large have a bounded memory."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from service.api.body import MAX_LARGE_BYTES
from tests.support.classifiers import Classifier
from tests.support.http import SEVEN, post, problem_of, read_answers, read_statuses
from tests.support.pictures import save
from tests.support.wait import until

MEGABYTE = 1 << 20


def upload_head(size, media_type="image/png"):
    return (
        f"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: {media_type}\r\nContent-Length: {size}\r\n\r\n"
    ).encode()


def test_a_file_of_many_megabytes_is_read(live_server):
    noise = np.random.default_rng(0).integers(0, 256, (1900, 1900, 3), np.uint8)
    data = save(Image.fromarray(noise), "PNG")

    answer = post(live_server, data, "image/png")

    assert len(data) > 8 * MEGABYTE
    assert answer.status_code == 200 or problem_of(answer)[0] == 422  # noise need not be a digit


def test_a_file_over_the_limit_is_refused_from_its_head(live_server):
    with live_server.connect() as connection:
        connection.sendall(upload_head(33 * MEGABYTE))

        assert read_statuses(connection, 1) == [413]


@pytest.mark.parametrize("nested", [True, False], ids=["nested", "flat"])
def test_one_image_of_any_shape_fits_as_json(start_server, tmp_path, nested):
    classifier = Classifier(3, 160, 160, ["cat", "dog"])
    server = start_server(MODEL_PATH=classifier.write(tmp_path / "weights.pt"))
    image = classifier.images(1)[0] / 255  # with all digits of a double

    answer = post(server, {"image": image.tolist() if nested else image.ravel().tolist()})

    assert len(answer.request.body) > MEGABYTE
    expected = classifier.probabilities(classifier.images(1))[0]
    np.testing.assert_allclose(answer.json()["probabilities"], expected, atol=1e-4)


def test_large_bodies_share_a_bounded_memory(live_server):
    size = 30 * MEGABYTE
    readers = [live_server.connect() for _ in range(MAX_LARGE_BYTES // size)]
    for reader in readers:
        reader.sendall(upload_head(size) + bytes(1000))

    def refused():
        with live_server.connect() as late:
            late.sendall(upload_head(size))
            late.settimeout(0.2)
            try:
                return read_answers(late, 1)[0]
            except TimeoutError:
                return None

    status, answer = until(refused, "the readers have taken all there is")
    assert status == 503
    assert b"there is no memory for a body of 31457280 bytes now; try again in a second" in answer
    assert post(live_server, SEVEN).json()["digit"] == 7

    for reader in readers:
        reader.close()
    until(lambda: not refused(), "their memory is free again")
