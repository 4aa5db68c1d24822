"""losses.csv: a line for every step of an optimisation, with the state of v before it."""

from __future__ import annotations

import csv
import io
import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from crossinit_batch.methods.embedding.scale_orientation import TRAJECTORY

_LOSSES = ("denoising_loss", "distance")


def dump_losses(losses: Tensor, trajectory: Tensor) -> bytes:
    """One identity's losses (steps, 2) and trajectory (steps, 4) as CSV, steps from 1, an empty cell for NaN."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["step", *_LOSSES, *TRAJECTORY])
    for step, row in enumerate(torch.cat([losses, trajectory], dim=1).tolist(), start=1):
        writer.writerow([step, *("" if math.isnan(value) else f"{value:.8g}" for value in row)])
    return file.getvalue().encode()


def read_trajectory(data: bytes) -> NDArray[np.float64] | None:
    """The trajectory (steps, 4) in a losses.csv, NaN for an empty cell; None where it has none or is damaged."""
    try:
        rows = [
            [math.nan if row[name] == "" else float(row[name]) for name in TRAJECTORY]
            for row in csv.DictReader(io.StringIO(data.decode()))
        ]
    except (ValueError, KeyError, TypeError):  # of an earlier version, or not ours
        return None
    return np.array(rows) if rows else None
