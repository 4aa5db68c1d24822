"""A small run, fresh for every test."""

from __future__ import annotations

from pathlib import Path

import pytest

from end_to_end.small_run import SmallRun, small_values


@pytest.fixture
def small(photographs: Path, pipeline_folder: Path) -> SmallRun:
    """Two methods, four identities, two prompts, one picture each."""
    return SmallRun(photographs.parent, small_values(pipeline_folder))
