"""Numbers of one method over named axes, such as identities x tokens, and the CSV that holds them."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

Axes = Mapping[str, Sequence[str | int]]


@dataclass(frozen=True, eq=False)
class Measured:
    """`columns` are arrays whose shape is the lengths of `axes`, in their order; NaN where there is no number."""

    method: str
    axes: Axes
    columns: dict[str, NDArray[np.float64]]

    def __post_init__(self) -> None:
        shape = tuple(len(values) for values in self.axes.values())
        for name, column in self.columns.items():
            if column.shape != shape:
                raise ValueError(f"{name} of {self.method} has shape {column.shape}, its axes {shape}")

    @property
    def identities(self) -> int:
        return len(self.axes["identity"])


def as_csv(tables: Iterable[Measured]) -> bytes:
    """One line for every point on the axes that has a number, methods one after another; numbers with 8 digits."""
    tables = list(tables)
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["method", *tables[0].axes, *tables[0].columns])
    for table in tables:
        values = np.stack(list(table.columns.values()), axis=-1)
        for index, key in zip(np.ndindex(values.shape[:-1]), product(*table.axes.values()), strict=True):
            row = values[index].tolist()
            if not all(map(math.isnan, row)):
                writer.writerow([table.method, *key, *("" if math.isnan(one) else f"{one:.8g}" for one in row)])
    return file.getvalue().encode()
