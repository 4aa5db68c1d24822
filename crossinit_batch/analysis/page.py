"""analysis/index.html: the figures with their captions, and a table of mean values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from crossinit_batch import __version__
from crossinit_batch.analysis.figures import Figure, Origin
from crossinit_batch.analysis.measured import Measured
from crossinit_batch.report.html import page_template, whole_text

COLUMNS = {
    "norm_v_init": "‖v_init‖",
    "norm_v": "‖v‖",
    "norm_E_v_init": "‖E(v_init)‖",
    "norm_E_v": "‖E(v)‖",
    "cosine_v_init_v": "cos(v_init, v)",
    "cosine_v_init_E_v_init": "cos(v_init, E(v_init))",
    "cosine_v_E_v": "cos(v, E(v))",
    "cosine_E_v_init_E_v": "cos(E(v_init), E(v))",
}


@dataclass(frozen=True)
class Row:
    """A method's means over identities and tokens, as text; a dash where there is no number."""

    method: str
    identities: int
    means: tuple[str, ...]


def analysis_page(origin: Origin, tables: Sequence[Measured], figures: Sequence[Figure], missing: Sequence[str]) -> str:
    """The whole page as text; `missing` says in sentences what could not be shown."""
    rows = [Row(table.method, table.identities, tuple(_mean(table, name) for name in COLUMNS)) for table in tables]
    page = page_template(__package__, "analysis").render(
        origin=origin, columns=list(COLUMNS.values()), rows=rows, figures=figures, missing=missing, version=__version__
    )
    return whole_text(page)


def _mean(table: Measured, name: str) -> str:
    values = table.columns[name]
    if np.isnan(values).all():
        return "–"
    return f"{np.nanmean(values):.3f}"
