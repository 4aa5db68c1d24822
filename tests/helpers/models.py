"""Looking a model up, as the tests of its room and of its files both do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crossinit_batch.errors import ModelError
from crossinit_batch.model.source import ModelSource, fetched_model, locate_model
from crossinit_batch.settings import ModelSettings


def located(name: str | Path, **options: Any) -> ModelSource:
    """The model of this name, which must be there."""
    return fetched_model(ModelSettings(id=str(name), **options))


def refused(name: str | Path, **options: Any) -> ModelError:
    """Why a model of this name is refused; every refusal has a hint."""
    with pytest.raises(ModelError) as caught:
        locate_model(ModelSettings(id=str(name), **options))
    assert caught.value.hint
    return caught.value
