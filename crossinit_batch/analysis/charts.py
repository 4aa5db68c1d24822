"""The figures as matplotlib draws them: scale and orientation before and after, over steps, through blocks; words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from crossinit_batch.analysis.chart_parts import COLUMN, band, cosines, norms, panels, strip
from crossinit_batch.analysis.measured import Measured

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SCALES = {
    "norm_v_init": "$v_{init}$",
    "norm_v": "$v$",
    "norm_E_v_init": "$E(v_{init})$",
    "norm_E_v": "$E(v)$",
}
_ORIENTATIONS = {
    "cosine_v_init_v": "$v_{init}$\nand $v$",
    "cosine_E_v_init_E_v": "$E(v_{init})$\nand $E(v)$",
    "cosine_v_init_E_v_init": "$v_{init}$\nand $E(v_{init})$",
    "cosine_v_E_v": "$v$\nand $E(v)$",
}


def before_and_after_chart(tables: Sequence[Measured], colors: Mapping[str, str]) -> Figure:
    """Two panels: norms, and cosines, a dot for every identity and token, a bar at each method's mean."""
    figure, (scales, orientations) = panels(2, 4.2, colors, {})
    for panel, names in ((scales, _SCALES), (orientations, _ORIENTATIONS)):
        for number, table in enumerate(tables):
            offset = (number - (len(tables) - 1) / 2) * 0.8 / len(tables)
            for position, name in enumerate(names):
                values = table.columns[name].ravel()
                values = values[~np.isnan(values)]
                if values.size:
                    strip(panel, position + offset, 0.8 / len(tables), values, colors[table.method])
        panel.set_xticks(range(len(names)), list(names.values()))
        panel.tick_params(axis="x", length=0)
        panel.grid(visible=False, axis="x")
        panel.set_xlim(-0.5, len(names) - 0.5)
    norms(scales)
    cosines(orientations)
    return figure


def over_steps_chart(tables: Sequence[Measured], colors: Mapping[str, str]) -> Figure:
    """Two panels over the steps done: norms of v and E(v), and cosines of v with v_init and with E(v)."""
    from matplotlib.ticker import StrMethodFormatter

    styles = {"-": "$v$;  $v$ with $v_{init}$", "--": "$E(v)$;  $v$ with $E(v)$"}
    figure, (scales, orientations) = panels(2, 4.2, colors, styles, share_x=True)
    longest = [int(table.axes["steps_done"][-1]) for table in tables]
    for table in tables:
        steps = np.array(table.axes["steps_done"], dtype=float)
        for panel, name, style in (
            (scales, "norm_v", "-"),
            (scales, "norm_E_v", "--"),
            (orientations, "cosine_v_init", "-"),
            (orientations, "cosine_E_v", "--"),
        ):
            values = table.columns[name]
            seen = ~np.isnan(values).all(axis=0)
            if seen.any():
                band(panel, steps[seen], values[:, seen], colors[table.method], style)
    orientations.set_xlabel("optimisation steps done")
    if max(longest) > 4 * min(longest):
        orientations.set_xscale("symlog", linthresh=1)
        orientations.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        orientations.set_xlabel("optimisation steps done (logarithmic)")
    orientations.set_xlim(0, max(longest))
    norms(scales)
    cosines(orientations)
    return figure


def through_blocks_chart(tables: Sequence[Measured], colors: Mapping[str, str]) -> Figure:
    """Three panels over the encoder's blocks: norms of v and v_init, their cosine, and v's cosine with E(v)."""
    styles = {"-": "from $v$", "--": "from $v_{init}$"}
    figure, (scales, apart, towards) = panels(3, 5.4, colors, styles, share_x=True)
    for table in tables:
        blocks = np.arange(len(table.axes["after"]), dtype=float)
        for panel, name, style in (
            (scales, "norm_v", "-"),
            (scales, "norm_v_init", "--"),
            (apart, "cosine_v_init_v", "-"),
            (towards, "cosine_v_E_v", "-"),
        ):
            values = table.columns[name].reshape(len(blocks), -1).T
            values = values[~np.isnan(values).all(axis=1)]
            if values.size:
                band(panel, blocks, values, colors[table.method], style)
    stages = tables[0].axes["after"]
    stride = -(-(len(stages) - 2) // 8)
    ticks = [0, *range(stride, len(stages) - 1, stride)]
    if len(stages) - 1 - ticks[-1] < stride and stride > 1:
        ticks.pop()
    ticks.append(len(stages) - 1)
    names = ["in", *(str(tick) for tick in ticks[1:-1]), "out"]
    towards.set_xticks(ticks, names)
    towards.set_xlim(0, len(stages) - 1)
    towards.set_xlabel("after block of the text encoder")
    norms(scales)
    cosines(apart, "cosine of $v$'s and\n$v_{init}$'s state")
    cosines(towards, "cosine of $v$'s\nstate with $E(v)$")
    return figure


def word_chart(words: Sequence[str], pictures: Sequence[tuple[NDArray[np.uint8], NDArray[np.uint8]]]) -> Figure:
    """A column a word: above the picture from v, below the one from E(v)."""
    from matplotlib.figure import Figure

    side = max(0.62, min(1.0, (COLUMN - 0.35) / len(words)))
    figure = Figure(figsize=(0.35 + side * len(words), 2 * side + 0.36), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0.01, hspace=0.01)  # type: ignore[union-attr, call-arg]
    grid = np.atleast_2d(figure.subplots(2, len(words), squeeze=False))
    for column, (word, pair) in enumerate(zip(words, pictures, strict=True)):
        grid[0, column].set_title(_wrapped(word, side), fontsize=7, pad=3, parse_math=False)
        for row in range(2):
            panel = grid[row, column]
            panel.imshow(pair[row], interpolation="lanczos")
            panel.set_xticks([])
            panel.set_yticks([])
            panel.grid(visible=False)
            for spine in panel.spines.values():
                spine.set_visible(False)
    for row, name in enumerate(("$v$", "$E(v)$")):
        grid[row, 0].set_ylabel(name)
    return figure


def _wrapped(word: str, side: float) -> str:
    """A heading over a picture `side` inches wide, in at most two lines."""
    import textwrap

    return "\n".join(textwrap.wrap(word, width=max(8, int(side * 18)), max_lines=2, placeholder="…"))
