from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.warm import Warm, warm_programs


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory, pipeline_folder: Path) -> Iterator[Warm]:
    """Command lines that start in milliseconds, with the small model loaded."""
    with warm_programs(pipeline_folder, tmp_path_factory.mktemp("warm")) as programs:
        yield programs
