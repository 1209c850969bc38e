"""``--scheduler``: the workers of a Dask cluster score."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from featad.cli import models
from featad.errors import ModelFileError

_OF_WORKERS = ("device", "engine", "cache")
_FILES = ("model", "weights", "cache")
_LOADING = (
    *_FILES,
    *("allow_other_versions", "trust", "target_fpr"),
    *("device", "engine", "max_pixels", "truncated"),
)


def add_scheduler(parser: Any) -> None:
    """Add ``--scheduler``."""
    parser.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="score on the workers of the Dask scheduler at this address, such as "
        "tcp://10.0.0.1:8786. They need to see the model and the images under the same "
        "names; --device, --engine and --cache are theirs",
    )


def here(args: Namespace) -> Namespace:
    """Return the arguments by which this process loads the model."""
    if not args.scheduler:
        return args
    return Namespace(**(vars(args) | dict.fromkeys(_OF_WORKERS)))


@contextmanager
def connection(args: Namespace) -> Iterator[dict[str, Any]]:
    """Yield what `score_to_file` takes to score on a cluster, if it is to."""
    if not args.scheduler:
        yield {}
        return
    from featad.clusters import connected
    from featad.images import content_hash

    given = {name: getattr(args, name) for name in _LOADING}
    for name in _FILES:
        if given[name] is not None:
            given[name] = os.path.abspath(given[name])
    with connected(args.scheduler) as client:
        load = ModelOfWorkers(Namespace(**given), content_hash(given["model"]))
        yield {"client": client, "load": load}


@dataclass(frozen=True)
class ModelOfWorkers:
    """Loads on a worker, under the same rules, the model that a command was given.

    Parameters
    ----------
    args : Namespace
        Of `models.load_to_score`.

    sha256 : str
        Digest of the file.
    """

    args: Namespace
    sha256: str

    def __call__(self) -> Any:
        """Return the system.

        Raises
        ------
        ModelFileError
            If there is another file, or none, or one that this user does not trust.
        """
        from featad.images import content_hash

        path = self.args.model
        if not os.path.isfile(path):
            raise ModelFileError(f"There is no model file {path!r}.")
        if content_hash(path) != self.sha256:
            raise ModelFileError(f"The file {path!r} is another one there.")
        return models.load_to_score(self.args)
