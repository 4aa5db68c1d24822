"""Figures hold what they were given, draw any number of methods and identities, and come out the same every time."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from crossinit_batch.analysis import charts
from crossinit_batch.analysis.chart_parts import COLUMN, PALETTE, method_colors, need_matplotlib, rendered
from crossinit_batch.analysis.measured import Measured
from crossinit_batch.errors import RequestError

ENDS = ("norm_v_init", "norm_v", "norm_E_v_init", "norm_E_v", "cosine_v_init_v", "cosine_E_v_init_E_v",
        "cosine_v_init_E_v_init", "cosine_v_E_v")  # fmt: skip


def _ends(method: str, people: int, scale: float = 1.0, given: bool = False) -> Measured:
    columns = {
        name: np.full((people, 2), (scale if name.startswith("norm") else 0.1) * (1 + n)) for n, name in enumerate(ENDS)
    }
    if given:
        columns |= {name: column * np.nan for name, column in columns.items() if "init" in name}
    people_ = tuple(f"p{number}" for number in range(people))
    return Measured(method, {"identity": people_, "token": (0, 1)}, columns)


def _way(method: str, people: int, steps: int) -> Measured:
    went = np.linspace(0.1, 1, steps + 1) + np.arange(people)[:, None]
    looked = went.copy()
    looked[:, 1::2] = np.nan
    columns = {"norm_v": went, "cosine_v_init": went / 10, "norm_E_v": looked, "cosine_E_v": looked / 10}
    people_ = tuple(f"p{number}" for number in range(people))
    return Measured(method, {"identity": people_, "steps_done": tuple(range(steps + 1))}, columns)


def _blocks(method: str, people: int, blocks: int) -> Measured:
    columns = {
        name: np.random.default_rng(n).random((blocks + 2, people, 1))
        for n, name in enumerate(("norm_v_init", "norm_v", "cosine_v_init_v", "cosine_v_E_v"))
    }
    stages = ("input", *(f"block {number + 1}" for number in range(blocks)), "final norm")
    people_ = tuple(f"p{number}" for number in range(people))
    return Measured(method, {"after": stages, "identity": people_, "token": (0,)}, columns)


@pytest.mark.parametrize(("methods", "people"), [(1, 1), (3, 4), (9, 40)])
def test_any_number_of_methods_and_identities_is_drawn(methods: int, people: int) -> None:
    names = [f"method-{number}" for number in range(methods)]
    colors = method_colors(names)
    ends = [_ends(name, people, given=name == "method-2") for name in names]
    ways = [_way(name, people, steps=3 + number) for number, name in enumerate(names)]
    blocks = [_blocks(name, people, blocks=5) for name in names]
    dots = charts.before_and_after_chart(ends, colors)
    lines = [charts.over_steps_chart(ways, colors), charts.through_blocks_chart(blocks, colors)]
    for figure in (dots, *lines):
        assert figure.get_figwidth() == COLUMN
        assert {text.get_text() for text in figure.legends[0].get_texts()} == set(names)
    for figure in lines:
        assert bool(figure.axes[0].collections) == (people > 1)  # bands


def test_a_bar_is_the_mean_and_a_dot_a_value() -> None:
    figure = charts.before_and_after_chart([_ends("m", 3)], method_colors(["m"]))
    dots, bar = figure.axes[0].collections[2:4]  # of v
    assert len(dots.get_offsets()) == 6 and set(dots.get_offsets()[:, 1]) == {2.0}
    assert {float(y) for segment in bar.get_segments() for _, y in segment} == {2.0}


def test_a_line_is_the_mean_and_a_band_the_middle_of_the_identities() -> None:
    way = _way("m", 5, steps=4)
    figure = charts.over_steps_chart([way], method_colors(["m"]))
    solid, dashed = figure.axes[0].lines
    np.testing.assert_allclose(solid.get_ydata(), way.columns["norm_v"].mean(axis=0))
    assert list(dashed.get_xdata()) == [0, 2, 4]
    edges = figure.axes[0].collections[0].get_paths()[0].vertices[:, 1]
    assert edges.min() == pytest.approx(np.percentile(way.columns["norm_v"], 10, axis=0).min())
    assert edges.max() == pytest.approx(np.percentile(way.columns["norm_v"], 90, axis=0).max())


def test_norms_far_apart_are_logarithmic_and_others_start_at_zero() -> None:
    near = charts.before_and_after_chart([_ends("m", 2)], method_colors(["m"])).axes[0]
    assert near.get_yscale() == "linear" and near.get_ylim()[0] == 0
    far = charts.before_and_after_chart([_ends("m", 2), _ends("n", 2, 100)], method_colors(["m", "n"])).axes[0]
    assert far.get_yscale() == "log" and far.get_ylim()[0] > 0


@pytest.mark.parametrize(("blocks", "last"), [(1, "1"), (3, "3"), (12, "10"), (23, "21"), (32, "28")])
def test_ticks_name_blocks_and_do_not_crowd(blocks: int, last: str) -> None:
    figure = charts.through_blocks_chart([_blocks("m", 2, blocks)], method_colors(["m"]))
    names = [label.get_text() for label in figure.axes[-1].get_xticklabels()]
    assert names[0] == "in" and names[-1] == "out" and names[-2] == last and len(names) <= 11


def test_words_are_text_and_never_formulas() -> None:
    picture = np.zeros((8, 8, 3), dtype=np.uint8)
    words = ["$\\frac{", "a_b", "one long word after another that is far too long for two lines", "<b>&"]
    files = rendered(lambda: charts.word_chart(words, [(picture, picture)] * 4), "t", "c")
    assert files["png"].startswith(b"\x89PNG")


def test_files_carry_their_caption_and_are_the_same_every_time() -> None:
    def draw() -> object:
        return charts.over_steps_chart([_way("m", 3, 4)], method_colors(["m"]))

    caption = "What <it> shows & from what."
    first, second = (rendered(draw, "Title", caption) for _ in range(2))  # type: ignore[arg-type]
    assert first == second
    with Image.open(io.BytesIO(first["png"])) as picture:
        assert picture.info["Description"] == caption and picture.info["Title"] == "Title"
        assert picture.width == pytest.approx(COLUMN * 300, abs=2)
    root = ElementTree.fromstring(first["svg"])
    assert caption in "".join(root.itertext())


def test_every_method_has_a_colour_of_its_own() -> None:
    colors = method_colors([f"m{number}" for number in range(2 * len(PALETTE))])
    assert len(set(colors.values())) == 2 * len(PALETTE) and colors["m0"].upper() == PALETTE[0]


def test_without_matplotlib_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(RequestError) as caught:
        need_matplotlib()
    assert "pip install 'crossinit-batch[figures]'" in caught.value.hint
