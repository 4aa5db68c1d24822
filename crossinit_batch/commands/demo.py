"""Commands of the small world of drawn faces: demo faces."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crossinit_batch.terminal import tell


def faces(
    count: Annotated[int, typer.Argument(min=1, max=100_000, help="How many persons.")],
    folder: Annotated[Path, typer.Argument(help="Where the pictures go.")],
    seed: Annotated[int, typer.Option(min=0, help="Another seed draws other persons.")] = 0,
    size: Annotated[int, typer.Option(min=64, max=2048, help="Side in pixels.")] = 512,
) -> None:
    """Draw persons that nobody has seen.

    Their true parameters are written to persons.json.
    """
    from crossinit_batch.demo.faces import write_faces

    paths = write_faces(count, folder, seed=seed, size=size)
    tell(f"Drew {len(paths)} faces in {folder}")
