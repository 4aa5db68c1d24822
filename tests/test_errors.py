"""Errors on their way from worker processes."""

from __future__ import annotations

import pickle

import pytest

from crossinit_batch.errors import (
    CrossinitError,
    DeviceLost,
    Interrupted,
    ManifestError,
    ModelError,
    OutputLost,
    Problem,
)


@pytest.mark.parametrize(
    "error",
    [
        ModelError("no model", "get one"),
        OutputLost("s3://bucket/x: no space", "no space", "make some"),
        ManifestError([Problem("a.yaml", 1, 2, "seed", "is no number")]),
        DeviceLost("CUDA error"),
        Interrupted("stopped at step 3"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_comes_out_of_a_pipe_as_it_went_in(error: CrossinitError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error) and again.args == error.args
    assert again.__dict__ == error.__dict__ and again.exit_code == error.exit_code
