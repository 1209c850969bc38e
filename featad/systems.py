"""Walking through systems: their parts, their last step, what learns nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from os import PathLike
from typing import Any

from sklearn.base import BaseEstimator, clone
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils import check_random_state, get_tags


def iter_parts(system: Any) -> Iterator[Any]:
    """Yield a system and the estimators that it works with, at any depth.

    Of a meta-estimator or a search these are the fitted copies, not the templates that
    they were cloned from.

    Parameters
    ----------
    system : estimator
        A detector, a Pipeline, a meta-estimator or a search; fitted or not.

    Yields
    ------
    part : estimator
        ``system``, then the steps of pipelines, the ``estimator_`` of meta-estimators,
        the ``members_`` of ensembles, the ``best_estimator_`` of searches and what a
        `FrozenEstimator` holds.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import Normalizer
    >>> from featad.detectors import KMeansDistance
    >>> system = make_pipeline(Normalizer(), KMeansDistance())
    >>> [type(part).__name__ for part in iter_parts(system)]
    ['Pipeline', 'Normalizer', 'KMeansDistance']
    """
    yield system
    if isinstance(system, FrozenEstimator):  # it has all attributes of what it holds
        inner = [system.estimator]
    else:
        inner = [step for _, step in getattr(system, "steps", [])]
        inner += [
            getattr(system, name)
            for name in ("estimator_", "best_estimator_")
            if hasattr(system, name)
        ]
        inner += getattr(system, "members_", {}).values()
    for part in inner:
        if isinstance(part, BaseEstimator):
            yield from iter_parts(part)


def iter_parts_and_templates(system: Any) -> Iterator[Any]:
    """Yield what `iter_parts` does, and every estimator among their parameters.

    Parameters
    ----------
    system : estimator
        As for `iter_parts`.

    Yields
    ------
    part : estimator
        Each object once.
    """
    seen = set()
    for part in iter_parts(system):
        if not hasattr(part, "get_params"):
            continue
        for found in (part, *part.get_params().values()):
            if isinstance(found, BaseEstimator) and id(found) not in seen:
                seen.add(id(found))
                yield found


def seeded_copy(system: Any, random_state: Any) -> Any:
    """Return an unfitted copy of a system whose unset seeds are filled in.

    Parameters
    ----------
    system : estimator

    random_state : int, RandomState instance or None
        Seeds every ``random_state`` inside that is None, all of them alike. None
        leaves them.

    Returns
    -------
    copy : estimator

    Examples
    --------
    >>> from featad.detectors import KMeansDistance
    >>> seeded_copy(KMeansDistance(random_state=7), 0).random_state
    7
    """
    copy = clone(system)
    if random_state is None:
        return copy
    seed = int(check_random_state(random_state).randint(2**31 - 1))
    unset = [
        name
        for name, value in copy.get_params().items()
        if name.split("__")[-1] == "random_state" and value is None
    ]
    return copy.set_params(**dict.fromkeys(unset, seed))


_NAMES: ContextVar[Any] = ContextVar("_NAMES", default=())


@contextmanager
def naming_samples(X: Any) -> Iterator[None]:
    """Let the steps of a pipeline name samples by the files its first step is given.

    Parameters
    ----------
    X : sequence of samples
        Nothing is done if they are not files.
    """
    is_list = hasattr(X, "__len__") and getattr(X, "ndim", 1) == 1
    first = next(iter(X), None) if is_list else None
    if not isinstance(first, str | PathLike):
        yield
        return
    token = _NAMES.set(X)
    try:
        yield
    finally:
        _NAMES.reset(token)


def name_sample(X: Any, index: int) -> str:
    """Return a sample's file, or its number.

    Parameters
    ----------
    X : sequence of samples
        What a step of a system is given.

    index : int
        The sample's place in ``X``.

    Returns
    -------
    name : str

    Examples
    --------
    >>> with naming_samples(["a.png", "b.png"]):
    ...     name_sample([[0.1], [0.3]], 1)
    'b.png'
    >>> name_sample([[0.1], [0.3]], 1)
    '1'
    """
    for samples in (X, _NAMES.get()):
        if len(samples) == len(X):
            sample = samples.iloc[index] if hasattr(samples, "iloc") else samples[index]
            if isinstance(sample, str | PathLike):
                return str(sample)
    return str(index)


def last_step(system: Any) -> Any:
    """Return the detector in which a pipeline, or a fitted search, ends.

    Parameters
    ----------
    system : estimator
        A detector, a Pipeline, or a search with a ``best_estimator_``.

    Returns
    -------
    detector : estimator
        ``system`` itself if it is neither a pipeline nor a search.
    """
    system = getattr(system, "best_estimator_", system)
    return last_step(system[-1]) if isinstance(system, Pipeline) else system


def set_everywhere(system: Any, parameter: str, value: Any) -> int:
    """Set a parameter on every part of a system that has it, in place.

    Fitted copies inside meta-estimators and searches are set as well as the templates
    that they were cloned from.

    Parameters
    ----------
    system : estimator
        As for `iter_parts`.

    parameter : str
        The name, without that of a step.

    value : object
        The new value.

    Returns
    -------
    n_parts : int
        How many parts have the parameter.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from featad.detectors import KMeansDistance
    >>> from featad.images import ImageReader
    >>> system = make_pipeline(ImageReader(), KMeansDistance())
    >>> set_everywhere(system, "on_error", "skip"), system[0].on_error
    (1, 'skip')
    """
    parts = [
        part
        for part in iter_parts_and_templates(system)
        if parameter in part.get_params(deep=False)
    ]
    for part in parts:
        part.set_params(**{parameter: value})
    return len(parts)


def uses_labels(system: Any) -> bool | None:
    """Return whether the detector in which a system ends learns from labels.

    Parameters
    ----------
    system : estimator
        A detector, a Pipeline, a meta-estimator or a search; fitted or not.

    Returns
    -------
    uses : bool or None
        None for a detector that does not say so: one that is not featad's.

    Examples
    --------
    >>> from featad.detectors import Autoencoder, KMeansDistance
    >>> uses_labels(KMeansDistance()), uses_labels(Autoencoder(anomaly_weight=0.5))
    (False, True)
    """
    detector = last_step(system)
    inner = getattr(detector, "estimator", None)
    if inner is not None:  # a forest has a length, and none before it is fitted
        return uses_labels(inner)
    return getattr(detector, "_uses_labels", None)


def trains_networks(system: Any) -> bool:
    """Return whether the detector in which a system ends trains networks.

    Parameters
    ----------
    system : estimator
        A detector, a Pipeline, a meta-estimator or a search; fitted or not.

    Returns
    -------
    trains : bool
        Then scores of two fits share no scale. False for a detector that does not say.

    Examples
    --------
    >>> from featad.detectors import Autoencoder, KMeansDistance
    >>> trains_networks(KMeansDistance()), trains_networks(Autoencoder())
    (False, True)
    """
    detector = last_step(system)
    inner = getattr(detector, "estimator", None)
    trains = getattr(detector, "_trains_networks", None)
    if trains is None and inner is not None:
        return trains_networks(inner)
    return bool(trains)


def is_frozen(system: Any) -> bool:
    """Return whether fitting a system would change nothing.

    Parameters
    ----------
    system : estimator
        A detector or a pipeline that ends in one.

    Returns
    -------
    frozen : bool
        True for a `FrozenEstimator`, alone or after steps that learn nothing.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import Normalizer
    >>> from featad.detectors import KMeansDistance
    >>> fitted = KMeansDistance(1).fit([[0.0], [1.0]])
    >>> is_frozen(make_pipeline(Normalizer(), FrozenEstimator(fitted)))
    True
    """
    if not isinstance(system, Pipeline):
        return isinstance(system, FrozenEstimator)
    before = [
        step for _, step in system.steps[:-1] if step not in (None, "passthrough")
    ]
    return is_frozen(system[-1]) and all(
        isinstance(step, FrozenEstimator) or _learns_nothing(step) for step in before
    )


def split_stateless(system: Any) -> tuple[Pipeline | None, Any]:
    """Split a system after its leading steps that learn nothing.

    Parameters
    ----------
    system : estimator
        A detector or a pipeline that ends in one, fitted or not.

    Returns
    -------
    head : Pipeline or None
        The leading steps whose tag ``requires_fit`` is False, with ``"passthrough"``
        steps among them; None if there are none. The last step is never one of them.

    tail : estimator
        The rest: a Pipeline, or the last step alone if nothing else is left. Steps are
        the same objects as in ``system``, not copies.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import Normalizer
    >>> from featad.detectors import KMeansDistance
    >>> split_stateless(make_pipeline(Normalizer(), KMeansDistance()))
    (Pipeline(steps=[('normalizer', Normalizer())]), KMeansDistance())
    """
    if not isinstance(system, Pipeline):
        return None, system
    size = 0
    for index, (_, step) in enumerate(system.steps[:-1], start=1):
        if step is None or step == "passthrough":
            continue
        if not _learns_nothing(step):
            break
        size = index
    if size == 0:
        return None, system
    tail = system[size:]
    return system[:size], tail.steps[0][1] if len(tail) == 1 else tail


def only_learner(system: Any) -> Any:
    """Return the detector that a system ends in, if no step before it learns.

    Parameters
    ----------
    system : estimator
        A detector or a pipeline that ends in one, fitted or not.

    Returns
    -------
    detector : estimator or None
        The same object as in ``system``; None if another step learns.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import Normalizer
    >>> from featad.detectors import Mahalanobis
    >>> only_learner(make_pipeline(Normalizer(), "passthrough", Mahalanobis()))
    Mahalanobis()
    """
    if not isinstance(system, Pipeline):
        return system
    before = [
        step for _, step in system.steps[:-1] if step not in (None, "passthrough")
    ]
    return only_learner(system[-1]) if all(map(_learns_nothing, before)) else None


def _learns_nothing(step: Any) -> bool:
    return hasattr(step, "__sklearn_tags__") and not get_tags(step).requires_fit
