"""Bodies of `POST /predict` that are refused, with the status and the exact words of the refusal."""

from __future__ import annotations

from tests.support.http import ZEROS


def with_pixel(index: int, value: object) -> list[object]:
    """A black image with one pixel replaced."""
    return [*ZEROS[:index], value, *ZEROS[index + 1 :]]


INVALID_BODIES = {
    "empty": (b"", 400, 'the body is empty; expected {"image": [...]}'),
    "not JSON": (b"{image: 1}", 400, "the body is not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
    "cut short": (b'{"image": [0, 0', 400, "the body is not JSON: Expecting ',' delimiter: line 1 column 16 (char 15)"),
    "not UTF-8": (b'{"image": "\xff"}', 400, "the body is not UTF-8 (byte 0xff at offset 11); JSON is"),
    "not an object": ([1, 2], 422, 'the body is a list of 2; expected an object: {"image": [...]}'),
    "a bare number": (b"7", 422, 'the body is the number 7; expected an object: {"image": [...]}'),
    "no image": ({"pixels": []}, 422, "no \"image\" in the body (found 'pixels'); expected {\"image\": [...]}"),
    "nothing": ({}, 422, 'no "image" in the body (found no members); expected {"image": [...]}'),
    "image is a string": ({"image": "seven"}, 422, "image is the string 'seven'; expected a list of 784 numbers"),
    "image is null": ({"image": None}, 422, "image is null; expected a list of 784 numbers"),
    "no pixels": ({"image": []}, 422, "image has 0 pixels; expected 784 (28 x 28, row by row)"),
    "too few": ({"image": ZEROS[:783]}, 422, "image has 783 pixels; expected 784 (28 x 28, row by row)"),
    "too many": ({"image": [*ZEROS, 0]}, 422, "image has 785 pixels; expected 784 (28 x 28, row by row)"),
    "too few rows": ({"image": [[0] * 28] * 27}, 422, "image has 27 rows; expected 28"),
    "a short row": ({"image": [[0] * 28] * 27 + [[0] * 27]}, 422, "image[27] has 27 pixels; expected 28"),
    "a row that is none": ({"image": [[0] * 28] * 27 + [0]}, 422, "image[27] is the number 0; expected a row of 28 numbers"),
    "rows in rows": ({"image": [[0] * 28] * 27 + [[[0] * 28]]}, 422, "image[27] has 1 pixels; expected 28"),
    "flattened by chance": ({"image": [[0, 0], [], *ZEROS[2:]]}, 422, "image has 784 rows; expected 28"),
    "a string pixel": ({"image": with_pixel(3, "0")}, 422, "image[3] is the string '0'; expected a number in 0..1"),
    "a null pixel": ({"image": with_pixel(783, None)}, 422, "image[783] is null; expected a number in 0..1"),
    "a boolean pixel": ({"image": with_pixel(0, True)}, 422, "image[0] is true; expected a number in 0..1"),
    "a nested string": ({"image": [[0] * 28] * 27 + [[0] * 27 + ["x"]]}, 422, "image[27][27] is the string 'x'; expected a number in 0..1"),
    "NaN": ({"image": with_pixel(5, float("nan"))}, 400, "the body contains NaN, which JSON has no number for; pixels are finite numbers in 0..1"),
    "Infinity": ({"image": with_pixel(5, float("inf"))}, 400, "the body contains Infinity, which JSON has no number for; pixels are finite numbers in 0..1"),
    "beyond a double": (b'{"image": [%s1e400]}' % (b"0," * 783), 422, "image[783] is inf; pixels are finite numbers in 0..1"),
    "beyond a float": ({"image": with_pixel(7, 1e39)}, 422, "image[7] is 1e+39; pixels are 0..1, so divide by 255"),
    "an endless integer": (b'{"image": [%s%s]}' % (b"0," * 783, b"9" * 400), 422, "image[783] is inf; pixels are finite numbers in 0..1"),
    "0..255": ({"image": with_pixel(203, 255)}, 422, "image[203] is 255.0; pixels are 0..1, so divide by 255"),
    "negative": ({"image": with_pixel(9, -0.5)}, 422, "image[9] is -0.5; pixels are 0..1"),
    "the same name twice": (b'{"image": 1, "image": 2}', 400, "the body has an object with the same name twice; duplicate keys are not allowed"),
    "nested without end": (b'{"image": ' + b"[" * 5_000, 400, "the body is nested too deeply; expected a list of numbers"),
}  # fmt: skip
