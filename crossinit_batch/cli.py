"""The command `crossinit`: its commands, and the edge where every error becomes a sentence and an exit code."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from crossinit_batch import __version__
from crossinit_batch.commands import demo, init, inspect, research, runs, submit
from crossinit_batch.console.terminal import out, say, tell
from crossinit_batch.errors import CrossinitError, Interrupted
from crossinit_batch.worker import start_clock

app = typer.Typer(
    name="crossinit",
    help="Cross Initialization for many faces: one photograph of a person in, one Stable Diffusion embedding out.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
demo_app = typer.Typer(help="Make drawn faces to try things on, and a small world of them.", no_args_is_help=True)
app.add_typer(demo_app, name="demo")
study_app = typer.Typer(
    cls=research.StudyCommands,
    help="Make a user study of an output folder: study OUTPUT. Count its answers: study tally FILES.",
    no_args_is_help=True,
)
app.add_typer(study_app, name="study")


def _print_version(asked: bool) -> None:
    if asked:
        tell(f"crossinit {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version),
    ] = False,
) -> None:
    pass


for command in (
    runs.run,
    runs.resume,
    runs.render,
    runs.evaluate,
    runs.report,
    submit.submit,
    inspect.plan,
    inspect.status,
    inspect.verify,
    inspect.export,
    research.analyze,
    init.init_vector,
    init.schema,
    init.init,
):
    app.command()(command)
study_app.command("make")(research.make_study)
study_app.command("tally")(research.tally_study)
demo_app.command()(demo.faces)
demo_app.command()(demo.train)
demo_app.command()(demo.exam)


def main() -> None:
    """Run a command; every error becomes a sentence and an exit code, never a traceback."""
    start_clock.start()
    for library in ("TRANSFORMERS", "DIFFUSERS"):  # read when they are imported; the user's own setting is kept
        os.environ.setdefault(f"{library}_VERBOSITY", "error")
    try:
        app(standalone_mode=True)
    except Interrupted as error:  # already reported
        sys.exit(error.exit_code)
    except CrossinitError as error:
        say(str(error))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        say(f"{error.filename or 'reading or writing failed'}: {error.strerror or error}")
        sys.exit(1)
    except Exception as error:
        if os.environ.get("CROSSINIT_DEBUG"):
            raise
        say(
            f"crossinit met an error of its own: {type(error).__name__}: {error}\n"
            "  Please report it with the output of the same command under CROSSINIT_DEBUG=1."
        )
        sys.exit(1)
    finally:
        out().flush()
