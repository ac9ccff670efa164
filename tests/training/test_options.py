"""The command line of `python -m training`."""

from __future__ import annotations

import pytest

from training.options import parse


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--views 0 --teachers 1", "argument --views: 0 is less than 1"),
        ("--teachers -1", "argument --teachers: -1 is less than 0"),
        ("--students 0", "argument --students: 0 is less than 1"),
        ("--views 4", "--views is about teachers; add --teachers N or leave out --views"),
        ("--teacher-epochs 4", "--teacher-epochs is about teachers; add --teachers N or leave out"),
        (
            "--resume --force",
            "--resume goes on with the run in --out and --force replaces it; give one of them",
        ),
        ("--max-drop 0", "--max-drop is about what is published; add --publish FILE or leave out --max-drop"),
        ("--publish f --min-accuracy 98", "argument --min-accuracy: 98 is not between 0 and 1"),
        ("--negatives -1", "argument --negatives: -1 is not a number of at least 0"),
        ("--epochs many", "argument --epochs: invalid count value: 'many'"),
    ],
)
def test_options_that_make_no_sense_are_refused_in_one_line(
    arguments: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as refusal:
        parse(arguments.split())

    said = capsys.readouterr().err
    assert refusal.value.code == 2
    assert said.startswith(f"training: {message}")
    assert len(said.splitlines()) == 1
