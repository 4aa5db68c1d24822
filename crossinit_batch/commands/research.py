"""Commands for who studies the method: analyze, study, study tally."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from crossinit_batch.commands.options import Device, Offline, OutputArgument, go_offline
from crossinit_batch.console.terminal import out, say, tell
from crossinit_batch.errors import RequestError

if TYPE_CHECKING:
    from crossinit_batch.storage.store import Store
    from crossinit_batch.study.key import Key


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
    from crossinit_batch.storage.store import Store

    store = Store(output)
    chosen = Chosen(tuple(method or ()), tuple(identity or ()), limit)
    asked = DEFAULT_WORDS if words is None else words_of(words)
    done = analyze_output(store, chosen, asked, device, say)
    for sentence in done.missing:
        say(sentence)
    for name in done.files:
        tell(f"{store}/{name}")


class StudyCommands(TyperGroup):
    """`study OUTPUT` makes a study; what is no other command's name is an output folder."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
            args = ["make", *args]
        return super().parse_args(ctx, args)


def make_study(
    output: OutputArgument,
    method: Annotated[list[str] | None, typer.Option(help="Only this method; may be repeated; two or more.")] = None,
    reference: Annotated[str | None, typer.Option(help="Only compare this method with each other one.")] = None,
    pairs: Annotated[int, typer.Option(min=1, max=500, help="Pairs of pictures to show.")] = 40,
    seed: Annotated[int, typer.Option(min=0, help="Another seed chooses other pairs, and is another study.")] = 0,
) -> None:
    """Make a user study: blind pairs of pictures on one static page, study/index.html.

    Give participants the folder study/ or a link to it; `study tally` counts the files that they save.
    """
    from crossinit_batch import layout
    from crossinit_batch.storage.store import Store
    from crossinit_batch.study.make import Wanted
    from crossinit_batch.study.make import make_study as make

    store = Store(output)
    key = make(store, Wanted(tuple(method or ()), reference, pairs, seed))
    asked = sum(len(item.questions) for item in key.items.values())
    tell(f"Study {key.study}: {len(key.items)} pairs, {asked} questions: {store}/{layout.STUDY}")
    if len(key.items) < pairs:
        say(f"only {len(key.items)} pairs could be made of what is drawn, of {pairs} asked for")


def tally_study(
    files: Annotated[list[str], typer.Argument(help="Files of answers that participants saved.")],
    output: Annotated[
        str | None, typer.Option(help="The study's output folder; left out, the one under ./out that has it.")
    ] = None,
) -> None:
    """Count what participants preferred.

    The share of each method against each other with a 95 % interval; written to study.csv too.
    """
    from crossinit_batch import layout
    from crossinit_batch.console.tables import print_table
    from crossinit_batch.storage.publication import publishing
    from crossinit_batch.storage.store import Store
    from crossinit_batch.study.answers import preferences, read_answers
    from crossinit_batch.study.tally import tally, tally_csv, tally_table

    read = read_answers(files)
    study = next(iter(read.values())).study
    store = Store(output) if output else _folder_of_study(study)
    rows = tally(preferences(read, _key(store, study, list(read))))
    if not rows:
        raise RequestError("there is no answer in these files", "Ask the participants to save after answering.")
    with publishing(store, "tally") as pages:
        pages.write(layout.STUDY_TALLY, tally_csv(rows))
    print_table(tally_table(rows), out())
    tell(f"{store}/{layout.STUDY_TALLY}")


def _key(store: Store, study: str, files: Sequence[str]) -> Key:
    """The key of the study that the first file answers."""
    from crossinit_batch.study.key import Key

    key = Key.read(store, study)
    if key is None:
        raise RequestError(
            f"{files[0]}: these are answers to study {study}, which {store} does not have",
            "Name with --output the folder that the study was made in.",
        )
    return key


def _folder_of_study(study: str) -> Store:
    """The output folder under ./out that has the key of a study."""
    from crossinit_batch import layout
    from crossinit_batch.storage.store import Store

    name = layout.study_key(study)
    for path in sorted(Path("out").glob(f"**/{name}")):
        return Store(str(path.resolve()).removesuffix(f"/{name}"))
    raise RequestError(f"no output folder under {Path('out').resolve()} has study {study}", "Name it with --output.")
