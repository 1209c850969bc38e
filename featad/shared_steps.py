"""First steps that learn nothing run once, those of one network in one pass."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pickle import PicklingError
from typing import Any, NamedTuple

import joblib
from sklearn import pipeline

from featad.features.together import (
    fit_transform_together,
    passes,
    transform_together,
)
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
    systems: Mapping[str, Any],
    X: Any,
    run: Callable[[Sequence[Any], Any, str], list[Any]],
) -> Iterator[Rest]:
    """Run equal first steps that learn nothing once for all systems.

    Steps that differ run together if they take features from one pass of a network.

    Parameters
    ----------
    systems : mapping of str to estimator
        Detectors, or pipelines that end in one, by name.

    X : object
        What the first steps take.

    run : callable
        ``run(steps, X, name)`` returns what each step makes of ``X``, for the system of
        that name and all that share the steps. They are several where `passes` says so.

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
    >>> from featad.shared_steps import after_shared_steps, fit_steps
    >>> systems = {
    ...     "near": make_pipeline(Normalizer(), KMeansDistance()),
    ...     "far": make_pipeline(Normalizer(), Mahalanobis()),
    ... }
    >>> [(rest.system, rest.X[0, 0].item())
    ...  for rest in after_shared_steps(systems, [[9.0, 0.0]], fit_steps)]
    [(KMeansDistance(), 1.0), (Mahalanobis(), 1.0)]
    """
    yield from _after(dict(systems), (), X, run)


def _after(systems, steps, X, run):
    groups: dict[Any, tuple[Any, dict[str, Any]]] = {}
    for name, system in systems.items():
        step, rest = _split_first(system)
        groups.setdefault(_key(step), (step, {}))[1][name] = rest
    alike = passes({key: step for key, (step, _) in groups.items()}, in_memory=True)
    for keys in alike:
        together = [groups[key] for key in keys]
        step, members = together[0]
        if step is None:
            for name, system in members.items():
                yield Rest(name, steps, system, X)
            continue
        made = run([step for step, _ in together], X, next(iter(members)))
        for step, members in together:
            yield from _after(members, (*steps, step), made.pop(0), run)


def fit_steps(steps: Sequence[Any], X: Any, name: str = "") -> list[Any]:
    """Fit steps that learn nothing, and return what each makes of all of ``X``."""
    if len(steps) == 1:
        made = [steps[0].fit_transform(X)]
    else:
        made = fit_transform_together(steps, X)
    for features in made:
        check_all_rows(features, X)
    return made


def transform_steps(steps: Sequence[Any], X: Any, name: str = "") -> list[Any]:
    """Return what each step makes of ``X``."""
    if len(steps) == 1:
        return [steps[0].transform(X)]
    return transform_together(steps, X)


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
