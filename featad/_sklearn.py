"""The private names and habits of scikit-learn that featad has to do with.

scikit-learn may move or change them in any release. Then this is the file to mend.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.ensemble._base import _BaseHeterogeneousEnsemble as NamedEstimators
from sklearn.pipeline import _final_estimator_has as final_estimator_has
from sklearn.pipeline import _name_estimators as name_estimators
from sklearn.utils import _safe_indexing as safe_indexing
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    Options,
    RealNotInt,
    StrOptions,
)
from sklearn.utils._set_output import _get_output_config
from sklearn.utils.validation import _num_samples as num_samples

__all__ = [
    "HasMethods",
    "Interval",
    "NamedEstimators",
    "Options",
    "RealNotInt",
    "StrOptions",
    "final_estimator_has",
    "name_estimators",
    "num_samples",
    "output_container",
    "safe_indexing",
    "untouched_generator",
]


def output_container(transformer: BaseEstimator) -> str:
    """Return what `transform` is to return: "default", "pandas" or "polars"."""
    return _get_output_config("transform", transformer)["dense"]


@contextmanager
def untouched_generator() -> Iterator[None]:
    """Put NumPy's global generator back to where it was.

    `sklearn.linear_model.SGDOneClassSVM` draws a seed from it and does not use it.
    """
    state = np.random.get_state()  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002
