"""Which steps of a pipeline learn, and which do not."""

from typing import Any

from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags


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
        What remains: a Pipeline, or the last step alone if only that remains. Steps
        are the same objects as in ``system``, not copies.

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
