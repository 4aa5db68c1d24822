"""Options that several commands share, word for word."""

from __future__ import annotations

import os
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object a line, for machines.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print only warnings, failures and the end.")]
Device = Annotated[str | None, typer.Option(help="Device to use, such as cpu or cuda:1; the best one if left out.")]
Offline = Annotated[bool, typer.Option("--offline", help="Use no network: models come from the local cache only.")]
AllowPickle = Annotated[
    bool, typer.Option("--allow-pickle", help="Read pickled .bin and .pt files too; only if you trust them.")
]
OutputArgument = Annotated[str, typer.Argument(help="An output folder, local or a URL.")]


def go_offline(offline: bool) -> None:
    """Switch the network off where asked: the hub's library reads this once, when it is imported."""
    if offline:
        os.environ["HF_HUB_OFFLINE"] = "1"
