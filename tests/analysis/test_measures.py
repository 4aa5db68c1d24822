"""The numbers of the figures against numpy alone, and the CSV that holds them."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
import torch

from crossinit_batch.analysis.learned import Learned
from crossinit_batch.analysis.measured import Measured, as_csv
from crossinit_batch.analysis.measures import before_and_after, over_steps, through_blocks
from crossinit_batch.methods.embedding.initial_vector import InitialVector
from crossinit_batch.model.base_model import BaseModel
from tests.helpers.models import located

WIDTH, PEOPLE = 32, ("ada", "bob", "cy")


@pytest.fixture(scope="module")
def model(pipeline_folder: Path) -> BaseModel:
    return BaseModel.load(located(pipeline_folder), torch.device("cpu"), "float32")


def _vector(seed: int, tokens: int = 2) -> torch.Tensor:
    return torch.randn(tokens, WIDTH, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def learned() -> list[Learned]:
    start = InitialVector(_vector(0), _vector(1), "d" * 64)
    went = [np.linspace([1, 1, 5, 0.1 * n], [2, 0.5, 6, 0.2 * n], 7) for n in range(3)]
    for one in went:
        one[[1, 2, 4, 5], 2:] = np.nan
    return [Learned("m", name, _vector(10 + n), start, went[n]) for n, name in enumerate(PEOPLE)]


def _norm(x: np.ndarray) -> float:
    return float(np.sqrt(np.sum(x.astype(np.float64) ** 2)))


def _cosine(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.dot(x.astype(np.float64), y.astype(np.float64)) / _norm(x) / _norm(y))


def _encoder_by_hand(model: BaseModel, v: np.ndarray) -> list[np.ndarray]:
    """CLIP's pre-norm transformer in numpy, causal, on [begin, v]: states at v's places, in, after each block, out."""
    weights = {name: one.numpy().astype(np.float64) for name, one in model.text_encoder.state_dict().items()}
    config = model.text_encoder.config

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + config.layer_norm_eps)
        return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def linear(x: np.ndarray, name: str) -> np.ndarray:
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    erf = np.vectorize(__import__("math").erf)
    begin = weights["embeddings.token_embedding.weight"][config.bos_token_id]
    x = np.vstack([begin, v]) + weights["embeddings.position_embedding.weight"][: len(v) + 1]
    heads, size = config.num_attention_heads, WIDTH // config.num_attention_heads
    states = [x[1:]]
    for block in range(config.num_hidden_layers):
        name = f"encoder.layers.{block}"
        y = norm(x, f"{name}.layer_norm1")
        q, k, value = (
            linear(y, f"{name}.self_attn.{part}_proj").reshape(len(x), heads, size).transpose(1, 0, 2) for part in "qkv"
        )
        scores = q @ k.transpose(0, 2, 1) / np.sqrt(size) + np.triu(np.full((len(x), len(x)), -1e30), 1)
        weight = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (weight / weight.sum(-1, keepdims=True) @ value).transpose(1, 0, 2).reshape(len(x), WIDTH)
        x = x + linear(mixed, f"{name}.self_attn.out_proj")
        hidden = linear(norm(x, f"{name}.layer_norm2"), f"{name}.mlp.fc1")
        x = x + linear(hidden * 0.5 * (1 + erf(hidden / np.sqrt(2))), f"{name}.mlp.fc2")
        states.append(x[1:])
    return [*states, norm(x, "final_layer_norm")[1:]]


def test_before_and_after_is_what_numpy_finds(model: BaseModel, learned: list[Learned]) -> None:
    table = before_and_after(model, learned)
    assert table.axes == {"identity": PEOPLE, "token": (0, 1)} and table.method == "m"
    start = _vector(0).numpy()
    e_start = _encoder_by_hand(model, start)[-1]
    for n in range(3):
        v = _vector(10 + n).numpy()
        e_v = _encoder_by_hand(model, v)[-1]
        for token in range(2):
            expected = {
                "norm_v_init": _norm(start[token]),
                "norm_v": _norm(v[token]),
                "norm_E_v_init": _norm(e_start[token]),
                "norm_E_v": _norm(e_v[token]),
                "cosine_v_init_v": _cosine(start[token], v[token]),
                "cosine_E_v_init_E_v": _cosine(e_start[token], e_v[token]),
                "cosine_v_init_E_v_init": _cosine(start[token], e_start[token]),
                "cosine_v_E_v": _cosine(v[token], e_v[token]),
            }
            assert {name: column[n, token] for name, column in table.columns.items()} == pytest.approx(
                expected, rel=1e-4, abs=1e-5
            )


def test_the_way_through_the_blocks_is_what_numpy_finds(model: BaseModel, learned: list[Learned]) -> None:
    table = through_blocks(model, learned)
    assert table.axes["after"] == ("input", "block 1", "block 2", "block 3", "final norm")
    before = _encoder_by_hand(model, _vector(0).numpy())
    for n in range(3):
        after = _encoder_by_hand(model, _vector(10 + n).numpy())
        for block in range(5):
            for token in range(2):
                found = [column[block, n, token] for column in table.columns.values()]
                assert found == pytest.approx(
                    [
                        _norm(before[block][token]),
                        _norm(after[block][token]),
                        _cosine(before[block][token], after[block][token]),
                        _cosine(after[block][token], after[-1][token]),
                    ],
                    rel=1e-4,
                    abs=1e-5,
                )
    assert table.columns["cosine_v_E_v"][-1] == pytest.approx(1, abs=1e-6)


def test_each_embedding_passes_the_encoder_once(model: BaseModel, learned: list[Learned]) -> None:
    encodes = model.counters.text_encodes
    before_and_after(model, learned)
    assert model.counters.text_encodes == encodes + 3 + 1  # they share v_init


def test_over_the_steps_ends_where_the_embedding_does(model: BaseModel, learned: list[Learned]) -> None:
    ends = before_and_after(model, learned)
    table = over_steps(learned, ends)
    assert table is not None
    assert table.axes == {"identity": PEOPLE, "steps_done": (0, 1, 2, 3, 4, 5, 6, 7)}
    for n, one in enumerate(learned):
        columns = np.stack(list(table.columns.values()), axis=-1)[n]
        np.testing.assert_array_equal(columns[:7], one.trajectory)
        assert columns[7].tolist() == pytest.approx(
            [ends.columns[name][n].mean() for name in ("norm_v", "cosine_v_init_v", "norm_E_v", "cosine_v_E_v")]
        )


def test_a_long_way_is_thinned_out_but_keeps_its_looks_and_both_ends(model: BaseModel, learned: list[Learned]) -> None:
    went = np.full((5000, 4), np.nan)
    went[:, :2] = np.arange(5000)[:, None]
    went[::156, 2:] = 1
    long = [Learned("m", one.identity, one.v, one.start, went) for one in learned]
    table = over_steps(long, before_and_after(model, long))
    assert table is not None
    steps = [int(step) for step in table.axes["steps_done"]]
    assert steps[0] == 0 and steps[-1] == 5000 and len(steps) < 450
    assert set(range(0, 5000, 156)) <= set(steps)
    np.testing.assert_array_equal(table.columns["norm_v"][0, :-1], steps[:-1])


def test_given_embeddings_have_no_start_and_may_differ_in_length(model: BaseModel) -> None:
    given = [Learned("g", "ada", _vector(1), None, None), Learned("g", "bob", _vector(2, tokens=3), None, None)]
    table = before_and_after(model, given)
    assert over_steps(given, table) is None
    assert table.columns["norm_v"].shape == (2, 3) and np.isnan(table.columns["norm_v"][0, 2])
    assert np.isnan(table.columns["norm_v_init"]).all() and np.isnan(table.columns["cosine_v_init_v"]).all()
    expected = _encoder_by_hand(model, _vector(2, tokens=3).numpy())[-1]
    assert table.columns["norm_E_v"][1].tolist() == pytest.approx([_norm(row) for row in expected], rel=1e-4)
    blocks = through_blocks(model, given)
    assert not np.isnan(blocks.columns["norm_v"][:, 1]).any() and np.isnan(blocks.columns["norm_v_init"]).all()


def test_csv_has_a_line_for_each_place_that_has_a_number() -> None:
    numbers = np.array([[1.0, 2 / 3], [np.nan, np.nan]])
    one = Measured("a", {"identity": ("x", "y"), "token": (0, 1)}, {"p": numbers, "q": numbers * np.nan})
    two = Measured("b", {"identity": ("z",), "token": (0,)}, {"p": np.array([[-1e-9]]), "q": np.array([[4.0]])})
    rows = list(csv.reader(io.StringIO(as_csv([one, two]).decode())))
    assert rows == [
        ["method", "identity", "token", "p", "q"],
        ["a", "x", "0", "1", ""],
        ["a", "x", "1", "0.66666667", ""],
        ["b", "z", "0", "-1e-09", "4"],
    ]


def test_a_column_that_does_not_fit_its_axes_is_refused() -> None:
    with pytest.raises(ValueError, match=r"p of a has shape \(2,\)"):
        Measured("a", {"identity": ("x",)}, {"p": np.zeros(2)})
