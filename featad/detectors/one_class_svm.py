"""Anomalous samples are outside the boundary of a one-class SVM."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import issparse
from sklearn import svm
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from featad._blocks import row_blocks
from featad._validation import check_samples
from featad.base import StrOptions, _Threshold
from featad.entry import Entry
from featad.kernels import kernel_values, median_width, spread

BLIND_SPREAD = 1e-4
"""Scores from 0 to 1 of which nine in ten lie as close together coincide."""


class OneClassSVM(_Threshold, svm.OneClassSVM):
    """Score a sample by its side of, and distance to, the boundary of normal samples.

    This is `sklearn.svm.OneClassSVM` with one more way to choose the width of the
    kernel, and faster to fit, as the kernel matrix is computed as a whole. It
    takes images, too.

    Parameters
    ----------
    kernel : {"linear", "poly", "rbf", "sigmoid", "precomputed"} or callable, \
default="rbf"
        Similarity of two samples.

    degree : int, default=3
        Degree of the kernel "poly".

    gamma : {"scale", "auto", "median"} or float, default="scale"
        Coefficient of "rbf", "poly" and "sigmoid": 1 / (n_features * X.var()),
        1 / n_features, or 1 / the median squared distance between two training samples.
        The last one fits the width of "rbf" to the distances there are, in any number
        of features.

    coef0 : float, default=0.0
        Constant of "poly" and "sigmoid".

    tol : float, default=0.001
        Tolerance of the stopping criterion.

    nu : float in (0, 1], default=0.5
        Upper bound of the share of training samples outside the boundary, lower bound
        of the share of support vectors.

    shrinking : bool, default=True
        Whether to use the shrinking heuristic.

    cache_size : float, default=200
        Megabytes for kernel values. Where the whole matrix, 8 bytes for each pair of
        training samples, is larger, scikit-learn's own way is taken to fit: 200 are
        enough for 5,120 samples.

    verbose : bool, default=False
        Whether libsvm prints what it does.

    max_iter : int, default=-1
        Limit of the solver's iterations; -1 for none.

    threshold : {"training", "held-out"}, default="training"
        "training": scikit-learn's, a support vector on the boundary. "held-out": the
        quantile ``nu`` of the scores that training samples have without their own
        share. With few samples only the second one holds for new samples. It takes
        dense samples and the kernel "rbf".

    Attributes
    ----------
    coef_ : ndarray of shape (1, n_features)
        Weights of the features, with the kernel "linear" only.

    dual_coef_ : ndarray of shape (1, n_SV)
        Coefficients of the support vectors.

    fit_status_ : int
        0 if the solver converged, 1 otherwise.

    intercept_ : ndarray of shape (1,)
        Constant of the decision function.

    n_features_in_ : int
        Number of features; of images, of values of one image.

    feature_names_in_ : ndarray of str
        Column names, where ``fit`` saw a data frame.

    n_iter_ : int
        Iterations of the solver.

    n_support_ : ndarray of shape (1,), int32
        Number of support vectors.

    offset_ : float
        The threshold on the scale of ``score_samples``.

    image_range_ : tuple of (float, float) or None
        Smallest and largest value of training images; None for tables.

    sample_shape_ : tuple of int
        Shape of one sample. Not with sparse samples, nor with a kernel that is
        precomputed or a function.

    shape_fit_ : tuple of int
        Shape of the training samples as a table.

    support_ : ndarray of shape (n_SV,), int32
        Indices of the support vectors.

    support_vectors_ : ndarray of shape (n_SV, n_features)
        The support vectors.

    Warns
    -----
    UserWarning
        If the kernel "rbf" is blind: the scores that the training samples have from one
        another nearly coincide.

    Notes
    -----
    Scores, high = normal, and threshold are scikit-learn's. They grow with the number
    of training samples: their largest possible value is nu * n_samples.

    The threshold bounds the share of *training* samples outside. Each of them adds to
    its own score, which counts where nu * n_samples is small: with nu=0.05 on whitened
    features of magnetic tiles, 12, 28 and 60 % of new normal tiles were outside after
    400, 80 and 20 training tiles, and 6, 4 and 4 % by ``threshold="held-out"``. A
    score without the sample's own share is (s - a) A / (A - a), with its score s, its
    coefficient a, and the sum A of all coefficients.

    References
    ----------
    .. [1] Schölkopf, Platt, Shawe-Taylor, Smola and Williamson, "Estimating the support
       of a high-dimensional distribution", Neural Computation 13, 2001.

    Examples
    --------
    >>> from featad import OneClassSVM
    >>> X = [[0.0], [0.44], [0.45], [0.46], [1.0]]
    >>> OneClassSVM(gamma="median").fit(X).predict([[0.45], [3.0]])
    array([ 1, -1])
    """

    _parameter_constraints: dict = {
        **svm.OneClassSVM._parameter_constraints,
        "gamma": [
            StrOptions({"scale", "auto", "median"}),
            *svm.OneClassSVM._parameter_constraints["gamma"][1:],
        ],
        "threshold": [StrOptions({"training", "held-out"})],
    }

    _entry = Entry(
        "ocsvm",
        "outside the boundary of a one-class SVM",
        "Schölkopf et al. 2001",
        {"detector__nu": [0.01, 0.05, 0.2], "detector__gamma": ["median", "scale"]},
        {"gamma": "median", "nu": 0.05, "threshold": "held-out"},
        whiten=True,
    )
    _uses_labels = False

    def __init__(
        self,
        *,
        kernel="rbf",
        degree=3,
        gamma="scale",
        coef0=0.0,
        tol=1e-3,
        nu=0.5,
        shrinking=True,
        cache_size=200,
        verbose=False,
        max_iter=-1,
        threshold="training",
    ):
        super().__init__(
            kernel=kernel,
            degree=degree,
            gamma=gamma,
            coef0=coef0,
            tol=tol,
            nu=nu,
            shrinking=shrinking,
            cache_size=cache_size,
            verbose=verbose,
            max_iter=max_iter,
        )
        self.threshold = threshold

    def fit(
        self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None
    ) -> "OneClassSVM":
        """Learn the boundary of the samples.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...) or sparse matrix
            A table (n_samples, n_features), images (n_samples, height, width) or
            (n_samples, height, width, channels), or the kernel matrix where ``kernel``
            is "precomputed".

        y : object, default=None
            Not used.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples.

        Returns
        -------
        self : OneClassSVM
            The fitted detector.

        Raises
        ------
        ValueError
            If a parameter is out of its range, ``X`` is empty or not finite, or the
            threshold "held-out" is asked for with one sample, sparse samples or another
            kernel than "rbf".
        """
        self._validate_params()
        held_out = self.threshold == "held-out"
        if held_out and (self.kernel != "rbf" or issparse(X)):
            raise ValueError(
                "OneClassSVM(threshold='held-out') takes dense samples and "
                "kernel='rbf'. Pass threshold='training' for others."
            )
        params = self.get_params()
        del params["threshold"]
        if callable(self.kernel) or self.kernel == "precomputed" or issparse(X):
            for name in ("sample_shape_", "image_range_"):
                self.__dict__.pop(name, None)
            if self.gamma == "median":
                params["gamma"] = median_width(X) if issparse(X) else 1.0  # not used
            self._adopt(params, X, sample_weight)
            return self
        X = _table(check_samples(self, X, reset=True))
        params["gamma"] = gamma = self._width(X)
        if 8 * len(X) ** 2 > self.cache_size * 2**20:
            self._adopt(params, X, sample_weight)
        else:
            params["kernel"] = "precomputed"
            self._adopt(params, self._kernel(X, X, gamma), sample_weight)
            self.support_vectors_ = X[self.support_]
            self.shape_fit_, self.n_features_in_ = X.shape, X.shape[1]
            self._gamma = gamma
        if self.kernel == "rbf":
            self._warn_if_blind(X)
        if held_out:
            self._set_held_out_threshold(X)
        return self

    def score_samples(self, X: Any) -> np.ndarray:
        """Return one score per sample, high = normal.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...) or sparse matrix
            Samples of the shape seen in ``fit``, or their kernel values with the
            training samples.

        Returns
        -------
        scores : ndarray of shape (n_samples,), float64
            The sum of the kernel values, weighted by ``dual_coef_``.

        Raises
        ------
        ValueError
            If the samples have another shape or hold NaN.
        NotFittedError
            If ``fit`` was not called.
        """
        check_is_fitted(self)
        if issparse(X) or not hasattr(self, "sample_shape_"):
            return svm.OneClassSVM.decision_function(self, X) + self.offset_
        X = _table(check_samples(self, X, reset=False))
        return self._weighted(X)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    def _adopt(self, params: dict, X: Any, sample_weight: ArrayLike | None) -> None:
        """Take over what scikit-learn's detector with these parameters learns."""
        other = svm.OneClassSVM(**params)
        other.random_state = 0  # not used by it, yet drawn from numpy's own generator
        before = set(vars(other))
        learned = vars(other.fit(X, None, sample_weight))
        self.__dict__.update({k: v for k, v in learned.items() if k not in before})

    def _width(self, X: np.ndarray) -> float:
        """Return ``gamma`` as a number."""
        if self.gamma == "median":
            return median_width(X)
        if self.gamma == "auto":
            return 1 / X.shape[1]
        if self.gamma == "scale":
            variance = X.var()
            return 1 / (X.shape[1] * variance) if variance > 0 else 1.0
        return float(self.gamma)

    def _weighted(self, X: np.ndarray) -> np.ndarray:
        """Return the sums of kernel values, weighted by ``dual_coef_``."""
        n_supports = len(self.support_)
        return np.concatenate(
            [
                self._kernel(X[rows], self.support_vectors_, self._gamma)
                @ self.dual_coef_[0]
                for rows in row_blocks(len(X), n_supports)
            ]
        )

    def _kernel(self, X: np.ndarray, Y: np.ndarray, gamma: float) -> np.ndarray:
        return kernel_values(self.kernel, X, Y, gamma, self.degree, self.coef0)

    def _similarity_to_others(self, X: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return how similar training samples are to the others, from 0 to 1.

        A sample without which no coefficient is left is left out.
        """
        own = np.zeros(len(X))
        own[self.support_] = self.dual_coef_[0]
        others = own.sum() - own[rows]
        scores = self._weighted(X[rows]) - own[rows]  # the kernel with itself is 1
        return scores[others > 0] / others[others > 0]

    def _set_held_out_threshold(self, X: np.ndarray) -> None:
        similar = self._similarity_to_others(X, np.arange(len(X)))
        if len(similar) == 0:
            raise ValueError(
                "OneClassSVM(threshold='held-out') needs at least 2 samples, got 1 "
                "sample."
            )
        scores = self.dual_coef_.sum() * similar
        self.offset_ = float(np.percentile(scores, 100 * self.nu))
        self.intercept_ = np.array([-self.offset_])

    def _warn_if_blind(self, X: np.ndarray) -> None:
        """Warn where training samples, if they were new, would all score alike."""
        if len(X) < 10:
            return
        similar = self._similarity_to_others(X, spread(len(X)))
        low, high = np.quantile(similar, [0.05, 0.95])
        if high - low <= BLIND_SPREAD:
            warnings.warn(
                f"The kernel of OneClassSVM is blind: with gamma={self._gamma:.3g}, "
                "nine in ten training samples are similar to the others to the same "
                f"degree, {low:.4g} to {high:.4g} on a scale from 0 to 1. Set "
                "gamma='median'. If that does not help, the samples are all equally "
                "far from one another: whiten them with featad.ShrunkWhitening in the "
                "same pipeline.",
                UserWarning,
            )


def _table(samples: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(samples.reshape(len(samples), -1), dtype=np.float64)
