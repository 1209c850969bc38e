"""The command line: one file per command, ``featad COMMAND``."""

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module

from featad import __version__
from featad.cli.options import log
from featad.cli.wording import as_options
from featad.errors import FeatadError

_COMMANDS = (
    "fit",
    "score",
    "check",
    "calibrate",
    "recalibrate",
    "compare",
    "list",
    "doctor",
    "demo",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, default=None
        Arguments without the program's name. None takes those of the process.

    Returns
    -------
    code : int
        0 for success, 1 if the job failed, 2 for wrong use.
    """
    parser = _parser()
    try:
        args = _parsed(parser, argv)
    except SystemExit as stop:  # argparse has said what is wrong, or printed help
        return stop.code if isinstance(stop.code, int) else 2
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            return args.run(args)
        except BrokenPipeError:  # the reader of our output has gone, as in `| head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        except KeyboardInterrupt:
            print(f"featad {args.command}: interrupted", file=sys.stderr)
            return 130
        except Exception as error:
            if os.environ.get("FEATAD_DEBUG"):
                raise
            print(f"featad {args.command}: error: {_sentence(error)}", file=sys.stderr)
            return 1


def _parser():
    parser = argparse.ArgumentParser(
        prog="featad",
        description="Find anomalous images with scikit-learn.",
        epilog="Exit codes: 0 success, 1 the job failed, 2 wrong use. Set "
        "FEATAD_DEBUG=1 to see the traceback of an unexpected error.",
    )
    parser.add_argument("--version", action="version", version=f"featad {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in _COMMANDS:
        import_module(f"{__name__}.{name}").add_parser(commands)
    for name, command in commands.choices.items():
        command.set_defaults(command=name, parser=command)
    return parser


def _parsed(parser, argv):
    """Parse the arguments; `featad fit DIR` is the same as `featad fit --data DIR`."""
    args, rest = parser.parse_known_args(argv)
    if getattr(args, "data", "") is None:
        if not rest or rest[0].startswith("-"):
            args.parser.error("the following arguments are required: --data DIR")
        args.data = rest.pop(0)
    if rest:
        args.parser.error(f"unrecognized arguments: {' '.join(rest)}")
    return args


def _sentence(error):
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return "Out of memory. Lower --batch-size, or fit on fewer images."
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}"
    text = as_options(" ".join(str(error).split()))
    if isinstance(error, (FeatadError, ValueError, OSError)):
        return text
    return (
        f"{type(error).__name__}: {text} (unexpected; set FEATAD_DEBUG=1 to see the "
        "traceback)"
    )


def _show_warning(message, category, filename, lineno, file=None, line=None):
    log(f"featad: warning: {as_options(' '.join(str(message).split()))}")
