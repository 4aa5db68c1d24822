"""Commands for who studies the method: analyze."""

from __future__ import annotations

from typing import Annotated

import typer

from crossinit_batch.commands.options import Device, Offline, OutputArgument, go_offline
from crossinit_batch.terminal import say, tell


def analyze(
    output: OutputArgument,
    method: Annotated[list[str] | None, typer.Option(help="Only this method; may be repeated.")] = None,
    identity: Annotated[list[str] | None, typer.Option(help="Only this identity; may be repeated.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Identities a method at most, spread evenly over all.")] = 200,
    words: Annotated[
        str | None,
        typer.Option(help="Words to draw from v and from E(v), with commas between; '' draws none, left out, some."),
    ] = None,
    device: Device = None,
    offline: Offline = False,
) -> None:
    """Draw figures of what learning did to the embeddings.

    Scale and orientation before and after, over the steps, through the text encoder; PNG, SVG and CSV in analysis/.
    """
    go_offline(offline)
    from crossinit_batch.analysis.analyze import analyze as analyze_output
    from crossinit_batch.analysis.learned import Chosen
    from crossinit_batch.analysis.word_pictures import DEFAULT_WORDS, words_of
    from crossinit_batch.store import Store

    store = Store(output)
    chosen = Chosen(tuple(method or ()), tuple(identity or ()), limit)
    asked = DEFAULT_WORDS if words is None else words_of(words)
    done = analyze_output(store, chosen, asked, device, say)
    for sentence in done.missing:
        say(sentence)
    for name in done.files:
        tell(f"{store}/{name}")
