"""The command line: one file per command, ``featad COMMAND``."""

import argparse
import io
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module

from featad import __version__
from featad.cli.options import log
from featad.cli.wording import as_options
from featad.errors import FeatadError, is_out_of_memory

_COMMANDS = (
    "fit",
    "score",
    "watch",
    "check",
    "calibrate",
    "recalibrate",
    "bundle",
    "compare",
    "report",
    "cache",
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
        0 for success, 1 if the job failed, 2 for wrong use, 130 after an interrupt,
        143 if the process was told to end.
    """
    _set_encodings()
    parser = _parser()
    try:
        args = _parsed(parser, argv)
        args.argv = [*(sys.argv[1:] if argv is None else argv)]
    except SystemExit as stop:  # argparse has said what is wrong, or printed help
        return stop.code if isinstance(stop.code, int) else 2
    with warnings.catch_warnings(), _ending_in_order():
        warnings.showwarning = _show_warning
        try:
            return _run(args)
        except BrokenPipeError:  # the reader of our output has gone, as in `| head`
            _discard_output()
            return 0
        except KeyboardInterrupt as stop:
            is_end = isinstance(stop, _Ended)
            what = "ended" if is_end else "interrupted"
            told = "; ".join([what, *map(str, stop.args)])
            print(f"featad {args.command}: {told}", file=sys.stderr)
            return 143 if is_end else 130
        except Exception as error:
            if os.environ.get("FEATAD_DEBUG"):
                raise
            print(f"featad {args.command}: error: {_sentence(error)}", file=sys.stderr)
            return 1


def _run(args):
    """Run a command; what its images are noticed for is said once, at the end."""
    from featad.images import Notes  # imports scikit-learn, which `--help` need not

    notes = Notes()
    with notes.taken():
        code = args.run(args)
    notes.tell()
    return code


class _Ended(KeyboardInterrupt):
    """Somebody told the process to end."""


@contextmanager
def _ending_in_order() -> Iterator[None]:
    """Let files be closed before a signal ends the process."""
    names = ("SIGTERM", "SIGHUP")
    signals = [getattr(signal, name) for name in names if hasattr(signal, name)]
    usual = [s for s in signals if signal.getsignal(s) is signal.SIG_DFL]
    if threading.current_thread() is not threading.main_thread():
        usual = []  # only the main thread may set a handler
    for which in usual:
        signal.signal(which, _end)
    try:
        yield
    finally:
        for which in usual:
            signal.signal(which, signal.SIG_DFL)


def _end(*_):
    raise _Ended


def _set_encodings():
    """Write UTF-8 whatever the console says: names of files hold any character."""
    if sys.stderr is None:  # closed; None would send what is printed to stdout
        sys.stderr = io.StringIO()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape", newline="\n")
    if isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr.reconfigure(errors="backslashreplace")


def _discard_output():
    """Send what is still to be printed nowhere, so that exiting does not fail."""
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


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
    if is_out_of_memory(error):
        return "Out of memory. Lower --batch-size, or fit on fewer images."
    if isinstance(error, OSError) and error.strerror:
        return ": ".join(str(part) for part in (error.strerror, error.filename) if part)
    text = as_options(" ".join(str(error).split()))
    if isinstance(error, (FeatadError, ValueError, OSError)):
        return text
    return (
        f"{type(error).__name__}: {text} (unexpected; set FEATAD_DEBUG=1 to see the "
        "traceback)"
    )


def _show_warning(message, category, filename, lineno, file=None, line=None):
    log(f"featad: warning: {as_options(' '.join(str(message).split()))}")
