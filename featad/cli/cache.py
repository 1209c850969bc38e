"""``featad cache``: what a folder of cached features holds, and how much it may."""

from argparse import Namespace
from typing import Any

from featad._words import bytes_in_words
from featad.cli import values


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "cache",
        help="tell what a folder of cached features holds, clear it, limit its size",
        description="Look after the folder of --cache. `info` tells how many features "
        "it holds, `clear` removes them all, and `limit` sets how much it may hold: "
        "when it is full, the features that were not used for the longest time are "
        "removed. Removed features are computed again when they are needed.",
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "what", choices=("info", "clear", "limit"), help="what to do with the folder"
    )
    parser.add_argument("folder", metavar="DIR", help="the folder given to --cache")
    parser.add_argument(
        "--size",
        type=values.size_in_bytes,
        metavar="SIZE",
        help="with limit: such as 500MB or 20GB; 0 removes the limit",
    )


def run(args: Namespace) -> int:
    """Tell, clear or limit."""
    from featad.features.cache_folder import cache_info, clear_cache, set_cache_limit

    if args.what == "limit" and args.size is None:
        raise ValueError("`featad cache limit` needs --size, such as --size 20GB.")
    if args.what != "limit" and args.size is not None:
        raise ValueError(f"--size is for `limit`; `{args.what}` does not take it.")
    if args.what == "clear":
        print(f"removed {_told(clear_cache(args.folder))}")
        return 0
    if args.what == "limit":
        set_cache_limit(args.folder, args.size or None)
    info = cache_info(args.folder)
    limit = "no limit" if info.limit is None else f"limit {bytes_in_words(info.limit)}"
    print(f"{_told(info)}; {limit}")
    return 0


def _told(info: Any) -> str:
    return (
        f"{_counted(info.n_entries, 'entry', 'entries')} of "
        f"{_counted(info.n_kinds, 'choice', 'choices')} of features, "
        f"{bytes_in_words(info.n_bytes)}"
    )


def _counted(n: int, one: str, many: str) -> str:
    return f"{n:,} {one if n == 1 else many}"
