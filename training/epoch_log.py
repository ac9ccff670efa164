"""What every epoch of every network gave, as a table and for TensorBoard, while training goes on."""

from __future__ import annotations

import csv
import dataclasses
import io
import shutil
from pathlib import Path
from typing import Any

from training import TrainingError
from training.files import write_bytes
from training.train import Epoch

METRICS_CSV = "metrics.csv"
TENSORBOARD = "tensorboard"


class EpochLog:
    """Writes `metrics.csv`, one row for each epoch, and if asked for TensorBoard's events into the folder.

    A resumed run adds its earlier epochs, too, so each run writes both anew. Raises TrainingError if the
    package tensorboard is missing.
    """

    def __init__(self, folder: Path, *, tensorboard: bool = False) -> None:
        self.path = folder / METRICS_CSV
        self.rows: list[dict[str, Any]] = []
        self.events = _tensorboard_writer(folder / TENSORBOARD) if tensorboard else None

    def add(self, network: str, epoch: Epoch) -> None:
        """Write what an epoch of the network gave; what was not measured stays empty."""
        row = {"network": network, **dataclasses.asdict(epoch)}
        self.rows.append(row)
        table = io.StringIO()
        writer = csv.DictWriter(table, fieldnames=list(row), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_bytes(self.path, table.getvalue().encode())
        if self.events is not None:
            for name, value in dataclasses.asdict(epoch).items():
                if name != "epoch" and value is not None:
                    self.events.add_scalar(f"{network}/{name}", value, epoch.epoch)
            self.events.flush()


def _tensorboard_writer(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise TrainingError(
            "--tensorboard needs the package tensorboard, which is not installed: `pip install tensorboard`, "
            f"or leave out --tensorboard; {METRICS_CSV} has the same figures"
        ) from None
    shutil.rmtree(folder, ignore_errors=True)
    return SummaryWriter(str(folder))
