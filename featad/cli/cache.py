"""``featad cache``: what a folder of cached features holds, and how much it may."""

from argparse import Namespace
from typing import Any

from featad._words import bytes_in_words
from featad.cli import values


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "cache",
        help="tell what a folder of cached features holds, clear it, limit or halve it",
        description="Look after the folder of --cache. `info` tells how many features "
        "it holds, `clear` removes them all, and `limit` sets how much it may hold: "
        "when it is full, the features that were not used for the longest time are "
        "removed. Removed features are computed again when they are needed. `keep` "
        "sets the type in which features that come are kept: float16 takes half the "
        "space and keeps three digits.",
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "what",
        choices=("info", "clear", "limit", "keep"),
        help="what to do with the folder",
    )
    parser.add_argument("folder", metavar="DIR", help="the folder given to --cache")
    parser.add_argument(
        "--size",
        type=values.size_in_bytes,
        metavar="SIZE",
        help="with limit: such as 500MB or 20GB; 0 removes the limit",
    )
    parser.add_argument(
        "--dtype", choices=("float32", "float16"), help="with keep: the type"
    )


def run(args: Namespace) -> int:
    """Tell, clear or limit."""
    from featad.features.cache_folder import (
        cache_info,
        clear_cache,
        set_cache_dtype,
        set_cache_limit,
    )

    _check_options(args)
    if args.what == "clear":
        print(f"removed {_told(clear_cache(args.folder))}")
        return 0
    if args.what == "limit":
        set_cache_limit(args.folder, args.size or None)
    elif args.what == "keep":
        set_cache_dtype(args.folder, args.dtype)
    info = cache_info(args.folder)
    limit = "no limit" if info.limit is None else f"limit {bytes_in_words(info.limit)}"
    kept = "" if info.dtype == "float32" else f"; kept in {info.dtype}"
    print(f"{_told(info)}; {limit}{kept}")
    return 0


def _check_options(args: Namespace) -> None:
    for what, option, example in (
        ("limit", "size", "20GB"),
        ("keep", "dtype", "float16"),
    ):
        given = getattr(args, option) is not None
        if args.what == what and not given:
            raise ValueError(
                f"`featad cache {what}` needs --{option}, such as --{option} {example}."
            )
        if args.what != what and given:
            raise ValueError(
                f"--{option} is for `{what}`; `{args.what}` does not take it."
            )


def _told(info: Any) -> str:
    return (
        f"{_counted(info.n_entries, 'entry', 'entries')} of "
        f"{_counted(info.n_kinds, 'choice', 'choices')} of features, "
        f"{bytes_in_words(info.n_bytes)}"
    )


def _counted(n: int, one: str, many: str) -> str:
    return f"{n:,} {one if n == 1 else many}"
