"""How far a job is: long loops tell it, and whoever runs the job may listen."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple, TypeAlias, TypeVar

Item = TypeVar("Item")


class Level(NamedTuple):
    """Where a loop is: ``done`` of ``total`` rounds, called ``what``."""

    what: str
    done: int
    total: int


Listener: TypeAlias = Callable[[tuple[Level, ...]], None]
"""Is called with the loops that are running, the outermost first."""

_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)
_levels: ContextVar[tuple[Level, ...]] = ContextVar("levels", default=())


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Have a listener called whenever a loop in this block goes on.

    Examples
    --------
    >>> with listening(lambda levels: print(f"{fraction(levels):.3f}")):
    ...     for _ in tracked(range(2), "fit", 2):
    ...         for _ in tracked(range(2), "epoch", 2):
    ...             pass
    0.000
    0.000
    0.250
    0.500
    0.500
    0.500
    0.750
    1.000
    1.000
    """
    before = _listener.get(), _levels.get()
    _listener.set(listener)
    _levels.set(())  # a loop that an error has ended may not have left yet
    try:
        yield
    finally:
        _listener.set(before[0])
        _levels.set(before[1])


def tracked(
    rounds: Iterable[Item], what: str, total: int, *, first: int = 0
) -> Iterator[Item]:
    """Yield from a loop's iterable, and tell how far it is.

    Parameters
    ----------
    rounds : iterable
        What the loop runs over.

    what : str
        What one round is called, such as ``"epoch"``.

    total : int
        Number of rounds, those before the loop included.

    first : int, default=0
        Number of rounds before the loop.

    Yields
    ------
    item : object
        The items of ``rounds``.
    """
    outer = _levels.get()
    done = first
    try:
        for done, item in enumerate(rounds, start=first):
            _tell((*outer, Level(what, done, total)))
            yield item
        if done + 1 == total:  # at the end, not where the loop was left early
            _tell((*outer, Level(what, total, total)))
    finally:
        _levels.set(outer)


@contextmanager
def within(what: str, done: int, total: int) -> Iterator[None]:
    """Tell that a block is round ``done``, from 0, of ``total``.

    Parameters
    ----------
    what : str
        What a round is called.

    done, total : int
        Number of rounds before this one, and of all.
    """
    outer = _levels.get()
    _tell((*outer, Level(what, done, total)))
    try:
        yield
    finally:
        _levels.set(outer)


def fraction(levels: tuple[Level, ...]) -> float:
    """Return the share of the outermost loop that is done, inner loops included.

    Examples
    --------
    >>> fraction((Level("fit", 1, 2), Level("epoch", 5, 10)))
    0.75
    """
    inner = 0.0
    for _, done, total in reversed(levels):
        inner = min(1.0, (done + inner) / max(1, total))
    return inner


def _tell(levels: tuple[Level, ...]) -> None:
    _levels.set(levels)
    listener = _listener.get()
    if listener is not None:
        listener(levels)
