"""First steps that learn nothing run once for all systems that share them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pickle import PicklingError
from typing import Any, NamedTuple

import joblib
from sklearn import pipeline

from featad.pipeline import Pipeline
from featad.systems import split_stateless

NOTHING = (None, "passthrough")
"""Steps of a pipeline that do nothing."""


class Rest(NamedTuple):
    """What remains of a system after its first steps that learn nothing.

    Attributes
    ----------
    name : str
        The system's name.

    steps : tuple of transformers
        The steps that ran; systems that share them have the same objects.

    system : estimator
        What remains: a Pipeline, or a detector alone.

    X : object
        What the last step that ran returned.
    """

    name: str
    steps: tuple[Any, ...]
    system: Any
    X: Any


def after_shared_steps(
    systems: Mapping[str, Any], X: Any, run: Callable[[Any, Any, str], Any]
) -> Iterator[Rest]:
    """Run equal first steps that learn nothing once for all systems.

    Parameters
    ----------
    systems : mapping of str to estimator
        Detectors, or pipelines that end in one, by name.

    X : object
        What the first steps take.

    run : callable
        ``run(step, X, name)`` returns what the step makes of ``X``, for the system of
        that name and all that share the step.

    Yields
    ------
    rest : Rest
        One a system. Systems that share their steps come one after the other, and what
        the steps made is let go before other steps run.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import Normalizer
    >>> from featad.detectors import KMeansDistance, Mahalanobis
    >>> systems = {
    ...     "near": make_pipeline(Normalizer(), KMeansDistance()),
    ...     "far": make_pipeline(Normalizer(), Mahalanobis()),
    ... }
    >>> run = lambda step, X, name: step.fit_transform(X)
    >>> [(rest.system, rest.X[0, 0].item())
    ...  for rest in after_shared_steps(systems, [[9.0, 0.0]], run)]
    [(KMeansDistance(), 1.0), (Mahalanobis(), 1.0)]
    """
    yield from _after(dict(systems), (), X, run)


def _after(systems, steps, X, run):
    groups: dict[Any, tuple[Any, dict[str, Any]]] = {}
    for name, system in systems.items():
        step, rest = _split_first(system)
        groups.setdefault(_key(step), (step, {}))[1][name] = rest
    for step, members in groups.values():
        if step is None:
            for name, system in members.items():
                yield Rest(name, steps, system, X)
            continue
        made = run(step, X, next(iter(members)))
        yield from _after(members, (*steps, step), made, run)
        del made  # before the next group makes its own


def fit_step(step: Any, X: Any, name: str) -> Any:
    """Fit a step that learns nothing, and return what it makes of all of ``X``."""
    features = step.fit_transform(X)
    check_all_rows(features, X)
    return features


def transform_step(step: Any, X: Any, name: str) -> Any:
    """Return what a step makes of ``X``."""
    return step.transform(X)


def rejoin(system: Any, steps: Sequence[Any], fitted: Any) -> Any:
    """Return a whole system again.

    Parameters
    ----------
    system : estimator
        What was taken apart; it names the steps.

    steps : sequence of transformers
        The first steps, without those that do nothing.

    fitted : estimator
        What was fitted after them: a Pipeline, or a detector alone.

    Returns
    -------
    whole : estimator
        ``fitted`` itself if there are no steps before it.
    """
    if not steps:
        return fitted
    names = [name for name, step in system.steps if step not in NOTHING]
    is_pipeline = isinstance(fitted, pipeline.Pipeline)
    tail = fitted.steps if is_pipeline else [(system.steps[-1][0], fitted)]
    return Pipeline([*zip(names, steps, strict=False), *tail])


def check_all_rows(features: Any, X: Any) -> None:
    """Refuse features of fewer samples than there are.

    Raises
    ------
    ValueError
        If a reader has skipped some.
    """
    if len(features) != len(X):
        raise ValueError(
            f"{len(X)} samples became {len(features)} rows. Leave unreadable images "
            'out of X, or learn their names with on_error="raise"'
        )


def _split_first(system: Any) -> tuple[Any, Any]:
    """Split off the first step if it learns nothing; (None, system) if it does."""
    head, _ = split_stateless(system)
    if head is None:
        return None, system
    step, rest = system.steps[0][1], system[1:]
    rest = rest.steps[0][1] if len(rest.steps) == 1 else rest
    return _split_first(rest) if step in NOTHING else (step, rest)


def _key(step: Any) -> str | int | None:
    """Return what is equal for equal steps."""
    try:
        return None if step is None else joblib.hash(step)
    except (PicklingError, AttributeError, TypeError):
        return id(step)  # it holds a lambda, say: never equal to another
