"""Train a digit classifier and export the weights file that the service reads."""

from __future__ import annotations


class TrainingError(Exception):
    """One line that says what is wrong and what to do; the command prints it and ends with `status`."""

    status = 1
