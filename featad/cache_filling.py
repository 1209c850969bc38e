"""One pass of each network for all features that systems and searches ask for."""

from collections.abc import Iterator, Mapping
from typing import Any

import joblib
from sklearn.base import clone
from sklearn.model_selection import ParameterGrid
from sklearn.pipeline import FeatureUnion, Pipeline

from featad.ensemble import ScoreEnsemble
from featad.features.network import NetworkFeatures
from featad.features.together import fill_caches, passes
from featad.shared_steps import NOTHING
from featad.tiling import TiledDetector


def fill_cache(systems: Any, X: Any) -> None:
    """Run each image once through each network, and keep all features that are needed.

    A search tries one choice of layers after the other, and each choice would send the
    images through the network once. Call this before ``search.fit``: one pass makes the
    features of all choices, and the search finds them in the cache, whatever its
    ``n_jobs``. Images of another size or precision need a pass of their own.

    Parameters
    ----------
    systems : estimator, or list or dict of them
        Systems, and searches over systems such as ``GridSearchCV``. Their features are
        from a frozen network that has a ``cache``.

    X : sequence of n_samples sources
        The images that the systems will be given.

    Raises
    ------
    ValueError
        If no system takes images through a network with a cache, or the precision of
        all networks depends on the training images.

    ImageReadError
        If an image cannot be read, and ``on_error`` of the features is "raise".

    WeightsNotFoundError, FeatadError
        If weights cannot be found, or the cache cannot be written.

    Notes
    -----
    Of a search with ``param_distributions``, only lists of values are looked through,
    not distributions. Tiles of a `TiledDetector` are not kept ahead, nor are features
    of ``precision="int8"`` or ``"auto"``, which depend on the images of each fit.

    Examples
    --------
    >>> import tempfile
    >>> from sklearn.model_selection import GridSearchCV
    >>> import featad
    >>> parts = featad.make_spots_and_lines(12, 4, size=32)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     search = GridSearchCV(
    ...         featad.build("mini-stats-kmeans", image_size=32, cache=folder),
    ...         {"features__layer": ["conv3_1", ("conv3_1", "conv4_1")]},
    ...         scoring=featad.anomaly_roc_auc,
    ...         cv=featad.OneClassKFold(2, random_state=0),
    ...     )
    ...     featad.fill_cache(search, parts.images)  # one pass for both choices
    ...     len(search.fit(parts.images, parts.labels).cv_results_["params"])
    2
    """
    if isinstance(systems, Mapping):
        systems = list(systems.values())
    elif not isinstance(systems, list | tuple):
        systems = [systems]
    found = [
        features
        for system in systems
        for features in _of_images(system)
        if features.cache is not None and not features._learns()
    ]
    if not found:
        given = ", ".join(type(system).__name__ for system in systems)
        raise ValueError(
            "fill_cache: systems should take images through a frozen network that has "
            f"a cache, in a precision that is not 'int8' or 'auto'; got {given}. Set "
            "cache=FOLDER, as in featad.build(name, cache=FOLDER)."
        )
    steps = {joblib.hash(features): features for features in found}
    for together in passes(steps, in_memory=False):
        fill_caches([steps[key] for key in together], X)


def _of_images(system: Any) -> Iterator[NetworkFeatures]:
    """Yield the features that a system makes of the images that it is given."""
    if isinstance(system, NetworkFeatures):
        yield system
    elif isinstance(system, Pipeline):
        first = next((step for _, step in system.steps if step not in NOTHING), None)
        yield from _of_images(first)
    elif isinstance(system, FeatureUnion):
        for _, step in system.transformer_list:
            yield from _of_images(step)
    elif isinstance(system, ScoreEnsemble):
        for _, member in system.estimators:
            yield from _of_images(member)
    elif not isinstance(system, TiledDetector):
        for inner in _candidates(system):
            yield from _of_images(inner)


def _candidates(system: Any) -> Iterator[Any]:
    """Yield what a meta-estimator holds; of a search all that differ in features."""
    inner = getattr(system, "estimator", None)
    if inner is None:
        return
    grids = getattr(system, "param_grid", getattr(system, "param_distributions", {}))
    for grid in [grids] if isinstance(grids, Mapping) else grids:
        lists = {name: list(v) for name, v in grid.items() if not hasattr(v, "rvs")}
        first = {name: values[0] for name, values in lists.items()}
        deciding = {n: v for n, v in lists.items() if _decides(inner, first, n, v)}
        for parameters in ParameterGrid(deciding):
            yield _with(inner, first | parameters)


def _decides(system: Any, others: dict[str, Any], name: str, values: list) -> bool:
    """Return whether values of a parameter change the features of a system."""
    tried = [_with(system, others | {name: value}) for value in values]
    params = [[f.get_params() for f in _of_images(each)] for each in tried]
    return len({joblib.hash(each) for each in params}) > 1


def _with(system: Any, parameters: dict[str, Any]) -> Any:
    copies = {name: clone(value, safe=False) for name, value in parameters.items()}
    return clone(system).set_params(**copies)
