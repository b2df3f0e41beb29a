"""The `kogner` command. Each subcommand lives in `commands/<name>.py` and is imported only when it is called.

The main path: `graph` -> commands/graph.py -> graph/store.py; `teacher` -> commands/teacher.py -> teacher/pretrain.py;
`encoder` -> commands/encoder.py -> train/align.py; `train` -> commands/train.py -> train/loop.py;
`annotate` -> commands/annotate.py -> annotate/predictor.py; `serve` -> commands/serve.py -> serve/app.py;
`data write` -> commands/data_bmg.py -> data/write.py; `experiment` -> commands/experiment.py -> experiment/runner.py.
"""

from __future__ import annotations

import io
import sys
import traceback
from importlib import import_module
from typing import Any

import click

from kogner import __version__
from kogner.errors import KognerError

COMMANDS = {
    "graph": "Build and query a knowledge graph.",
    "teacher": "Pretrain the graph teacher and write its bank of entity vectors.",
    "encoder": "Align the names of a graph in a text encoder.",
    "data": "Read corpora and link their mentions to the graph.",
    "train": "Train a student, with or without distillation.",
    "evaluate": "Score a student on corpora: exact span F1.",
    "experiment": "Train in several ways, paired by seed, and compare.",
    "annotate": "Find the entities in text.",
    "serve": "Annotate over HTTP.",
    "convert": "Turn documents of one format into another: PubTator, BioC, BRAT, ...",
    "calibrate": "Fit score thresholds and temperatures of a student on dev data.",
    "average": "The mean of the weights of two students of one kind.",
    "export": "Write a student as a GLiNER checkpoint or for ONNX Runtime.",
    "convert-checkpoint": "Turn an old GLiNER checkpoint into safetensors.",
}
# Where a command is not `command` of the module of its own name.
_ELSEWHERE = {"export": ("checkpoint", "export"), "convert-checkpoint": ("checkpoint", "convert")}


class LazyGroup(click.Group):
    """A group that knows its subcommands' names and help without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the journey, not of the alphabet."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import `kogner.commands.<name>` and take its `command`, or what `_ELSEWHERE` says."""
        if cmd_name not in COMMANDS:
            return None
        module, name = _ELSEWHERE.get(cmd_name, (cmd_name, "command"))
        command: click.Command = getattr(import_module(f"kogner.commands.{module}"), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the subcommands from the table, so that `kogner --help` stays fast."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="kogner")
@click.option("--quiet", is_flag=True, help="No progress and no notes; errors and results only.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(quiet: bool, debug: bool) -> None:
    """Open biomedical named entity recognition that knows what a knowledge graph knows.

    \b
    Example:
      echo "Aspirin lowers the risk of colorectal cancer." |
        kogner annotate - --labels chemical,disease
    """
    from kogner.progress import set_quiet

    set_quiet(quiet)


def _write_utf8() -> None:
    """Results are UTF-8 wherever they go, as files are read; a terminal of another encoding shows what it can."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            if stream.isatty():
                stream.reconfigure(errors="replace")
            else:
                # What has no UTF-8, half a surrogate pair of a file's name or of JSON, is shown as its escape.
                stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def main(arguments: list[str] | None = None) -> None:
    """Run the command line. Exit code 2 and one message for errors of the user, 130 for Ctrl-C."""
    arguments = sys.argv[1:] if arguments is None else arguments
    _write_utf8()
    # --quiet and --debug are welcome anywhere on the line, not only before the subcommand.
    flags = [flag for flag in ("--quiet", "--debug") if flag in arguments]
    rest = [argument for argument in arguments if argument not in flags]
    try:
        result: Any = cli.main(args=[*flags, *rest], prog_name="kogner", standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except KognerError as error:
        if "--debug" in flags:
            traceback.print_exc()
        sys.stderr.write(f"kogner: error: {error}\n")
        sys.exit(2)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(141)
    except OSError as error:  # a full disk, a folder that may not be written to
        if "--debug" in flags:
            traceback.print_exc()
        reason = error.strerror or str(error)
        sys.stderr.write(f"kogner: error: {f'{error.filename}: ' if error.filename else ''}{reason}\n")
        sys.exit(2)
    sys.exit(result if isinstance(result, int) else 0)


if __name__ == "__main__":
    main()
