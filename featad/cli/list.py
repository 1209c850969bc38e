"""``featad list``: the named systems."""

from argparse import Namespace
from typing import Any


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "list",
        help="list the named systems",
        description="List the two parts that make up a system's name, or all names.",
    )
    parser.set_defaults(run=run)
    parser.add_argument("--names", action="store_true", help="every name, one per line")


def run(args: Namespace) -> int:
    """Print the systems."""
    from featad.registry import (
        RECOMMENDED,
        describe_features,
        learned,
        list_systems,
        patch_scorers,
        scorers,
    )

    kinds = {
        "FEATURES-SCORER, FEATURES-stats-SCORER": scorers(),
        "FEATURES-patches-SCORER": patch_scorers(),
        "images-SCORER": learned(),
    }

    systems = list_systems()
    if args.names:
        width = max(len(system.name) for system in systems)
        for system in systems:
            print(f"{system.name:<{width}}  {system.summary} ({system.source})")
        return 0
    features = describe_features()
    print(f"{len(systems)} systems. Recommended: {RECOMMENDED}\n")
    width = max(map(len, features))
    print("FEATURES")
    for name, summary in features.items():
        print(f"  {name:<{width}}  {summary}")
    for names, kind in kinds.items():
        print(f"\n{names}: an image is anomalous if it is ...")
        for name, scorer in kind.items():
            print(f"  {name:<{width}}  {scorer.entry.summary} ({scorer.entry.source})")
    print(
        "\nstats- takes mean, standard deviation and maximum of three layers of a "
        "network\ninstead of its last fully connected layer; patches- takes maps of "
        "two layers, and\nsays where an image is odd. NETWORK-ensemble adds up what "
        "NETWORK-stats-mahalanobis\nand NETWORK-patches-gaussian say."
    )
    return 0
