"""What the workers of a Dask cluster do: load a system once, score what they get."""

import hashlib
import os
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache, partial
from threading import Lock
from typing import Any

from sklearn.base import BaseEstimator

from featad.batches import Attempt, Batch, attempt
from featad.errors import ClusterError
from featad.images import Notes, describe_source
from featad.model_records import installed_version
from featad.resuming import Known, system_digest
from featad.scorer import Scorer, mark_of

_DECIDING = ("featad", "numpy", "pillow", "scikit-learn", "torch")  # about scores
_loading = Lock()


@dataclass(frozen=True)
class Model:
    """What returns a system, pickled; a worker loads it once.

    Parameters
    ----------
    digest : str
        Of ``pickled`` and of the system: what loads a file is pickled alike, whatever
        the file holds.

    mark : float
        The system's `featad.scorer.mark_of`.

    pickled : bytes
    """

    digest: str
    mark: float
    pickled: bytes = field(compare=False, repr=False)

    @classmethod
    def of(cls, system: BaseEstimator, load: Callable[[], Any] | None) -> "Model":
        """Return what workers load; without ``load``, the system is sent."""
        import cloudpickle

        pickled = cloudpickle.dumps(partial(as_it_is, system) if load is None else load)
        digest = hashlib.sha256(pickled)
        if load is not None:
            digest.update(system_digest(system).encode())
        return cls(digest.hexdigest(), mark_of(system), pickled)

    def scorer(self, worker: str) -> Scorer:
        """Return the system's scorer on a worker.

        Raises
        ------
        ClusterError
            If the system cannot be loaded there, or is another one.
        """
        with _loading:  # two threads of a worker load it once
            try:
                return _load(self)
            except ModuleNotFoundError:
                raise
            except Exception as error:
                raise ClusterError(
                    f"The worker at {worker} cannot load the model: {error} All "
                    "machines need its files, under the same names."
                ) from error


@lru_cache(maxsize=2)
def _load(model):
    system = pickle.loads(model.pickled)()
    if mark_of(system) != model.mark:
        raise ValueError(
            "load returned another system than the one that was passed. Save that one "
            "where load finds it."
        )
    return Scorer(system)


@dataclass(frozen=True)
class Done:
    """What a worker has made of a partition.

    Attributes
    ----------
    worker : str
        Its address.

    attempts : list of Attempt
        One per batch. The last one may be an error that ends the run.

    remarks : list of tuple
        What `featad.images.Notes.add` takes.

    sees_nothing : bool
        Whether something failed, and none of the files is there.
    """

    worker: str
    attempts: list[Attempt]
    remarks: list[tuple]
    sees_nothing: bool


class _Collected(Notes):
    """Notes that are sent to another process, where files have the names given."""

    def __init__(self, names):
        super().__init__()
        self._there = names
        self.remarks: list[tuple] = []

    def add(self, name: str, remarks: Any, index: int = 0) -> None:
        self.remarks.append((self._there.get(name, name), remarks, index))


def score_partition(
    model: Model,
    known: Known | None,
    partition: Sequence[Sequence[list]],
    on_error: str,
    expected: dict[str, str],
) -> Done:
    """Score batches; this runs on a worker.

    Parameters
    ----------
    model : Model

    known : Known or None
        The batches of earlier runs.

    partition : sequence of (names, sources)
        The batches, as they were sent.

    on_error : {"skip", "raise"}

    expected : dict of str to str
        The `versions` of the process that writes the rows.
    """
    from distributed import get_worker

    worker = get_worker().address
    _check_versions(worker, expected)
    scorer = model.scorer(worker)
    batches = [Batch(*batch) for batch in partition]
    pairs = [pair for batch in batches for pair in zip(*batch, strict=True)]
    files = {source: name for name, source in pairs if isinstance(source, str)}
    notes = _Collected({describe_source(file): files[file] for file in files})
    attempts: list[Attempt] = []
    for batch in batches:
        with notes.taken():
            found = attempt(scorer, batch, on_error, known)
        attempts.append(found._replace(error=_portable(found.error)))
        if found.error is not None:
            break
    failed = any(found.error or any(found.reasons) for found in attempts)
    sees_nothing = failed and len(files) and not any(map(os.path.exists, files))
    return Done(worker, attempts, notes.remarks, bool(sees_nothing))


def _portable(error):
    """Return an error that another process can open."""
    try:
        return pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")


def as_it_is(value: Any) -> Any:
    """Return a value: as a task, it stays with the workers."""
    return value


@cache
def versions() -> dict[str, str]:
    """Return the versions of what decides about scores, without those of builds."""
    return {name: installed_version(name).split("+")[0] for name in _DECIDING}


def _check_versions(worker, expected):
    for name, version in versions().items():
        if version != expected[name]:
            raise ClusterError(
                f"The worker at {worker} has {name} {version}, but this machine has "
                f"{expected[name]}, and scores may differ. Install the same versions "
                "on all machines."
            )
