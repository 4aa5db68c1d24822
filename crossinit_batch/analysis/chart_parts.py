"""What all figures share: their size and style, a method's colour, and how many numbers become one mark.

Sized for one column of a paper, in colours that colour-blind eyes tell apart. The same numbers give the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from crossinit_batch.errors import RequestError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
"""Okabe and Ito's colours without the yellow, which is too faint for lines on white."""

COLUMN = 3.35  # inches: one of two columns of a conference paper
_STYLE: Any = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.3,
    "mathtext.fontset": "dejavusans",
    "svg.hashsalt": "crossinit",
    "figure.dpi": 300,
}


def need_matplotlib() -> None:
    """RequestError where figures cannot be drawn here."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise RequestError(
            "figures are drawn with matplotlib, which is not installed",
            "Install it with: pip install 'crossinit-batch[figures]'",
        ) from None


def rendered(draw: Callable[[], Figure], title: str, caption: str) -> dict[str, bytes]:
    """A figure as `png` and `svg`, both of which carry its caption."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    files = {}
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        figure = draw()
        FigureCanvasAgg(figure)
        for ending, metadata in (
            ("png", {"Title": title, "Description": caption, "Software": None}),
            ("svg", {"Title": title, "Description": caption, "Creator": None, "Date": None}),
        ):
            file = io.BytesIO()
            figure.savefig(file, format=ending, metadata=metadata)
            files[ending] = file.getvalue()
    return files


def method_colors(methods: Sequence[str]) -> dict[str, str]:
    """A colour for each method; once all are taken, the same again but lighter."""
    from matplotlib.colors import to_hex, to_rgb

    colors = {}
    for number, method in enumerate(methods):
        turn, index = divmod(number, len(PALETTE))
        red, green, blue = (1 - (1 - part) * 0.55**turn for part in to_rgb(PALETTE[index]))
        colors[method] = to_hex((red, green, blue))
    return colors


def panels(
    rows: int, height: float, colors: Mapping[str, str], styles: Mapping[Any, str], *, share_x: bool = False
) -> tuple[Figure, list[Axes]]:
    """Panels above each other, with a legend of colours above them and one of line styles below."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    methods = [Line2D([], [], color=color, label=name) for name, color in colors.items()]
    meanings = [Line2D([], [], color="#555555", linestyle=style, label=text) for style, text in styles.items()]
    columns = len(colors) if sum(len(name) + 6 for name in colors) < 60 else 2
    lines = -(-len(colors) // columns) + bool(styles)
    figure = Figure(figsize=(COLUMN, height + 0.17 * lines), layout="constrained")
    common = {"handlelength": 2, "columnspacing": 1.4, "borderpad": 0.1}
    figure.legend(handles=methods, loc="outside upper center", ncols=columns, **common)
    if meanings:
        figure.legend(handles=meanings, loc="outside lower center", ncols=len(meanings), **common)
    return figure, list(np.ravel(figure.subplots(rows, 1, sharex=share_x)))


def strip(panel: Axes, x: float, width: float, values: NDArray[np.float64], color: str) -> None:
    """A dot for each value, spread so that none hides another, and a bar at their mean."""
    spread = np.linspace(-0.3, 0.3, len(values)) * width if len(values) > 2 else np.zeros(len(values))
    size = 5 if len(values) <= 20 else 2
    panel.scatter(x + spread, values, s=size, color=color, alpha=0.45, linewidths=0)
    panel.hlines(values.mean(), x - 0.42 * width, x + 0.42 * width, color=color, linewidth=1.8)


def band(panel: Axes, x: NDArray[np.float64], values: NDArray[np.float64], color: str, style: str) -> None:
    """The mean over the rows of values (rows, len(x)), and a band from their 10th to their 90th percentile."""
    panel.plot(x, np.nanmean(values, axis=0), style, color=color, clip_on=False, zorder=3)
    if len(values) > 1:
        low, high = np.nanpercentile(values, [10, 90], axis=0)
        panel.fill_between(x, low, high, color=color, alpha=0.15, linewidth=0)


def norms(panel: Axes) -> None:
    """An axis of norms: from 0, or logarithmic where they differ by more than a factor of 8."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    panel.set_ylabel("norm")
    low, high = panel.dataLim.intervaly
    if not 0 < 8 * low < high:
        panel.set_ylim(0, 1.06 * high)
        return
    panel.set_yscale("log")
    panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,)))
    panel.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    panel.yaxis.set_minor_formatter(NullFormatter())


def cosines(panel: Axes, label: str = "cosine") -> None:
    low, _ = panel.get_ylim()
    panel.set_ylim(min(-0.05, low), 1.05)
    panel.axhline(0, color="#888888", linewidth=0.6)
    panel.set_ylabel(label)
