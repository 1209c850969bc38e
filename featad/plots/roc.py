"""The display of ROC and DET curves, of one or more systems, with intervals."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import norm

from featad.base import anomaly_scores
from featad.maps.systems import flattened
from featad.metrics.scores import check_share
from featad.plots import style
from featad.plots.curves import curves_of

_BANDS = 3  # systems at most whose bands are drawn without being asked for
_LEAST, _MOST = 0.005, 0.9  # ends of the axes of detection errors
_ERRORS = (0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)


class RocDisplay:
    """ROC curves: which share of anomalies is found at which price of false alarms.

    Make one with :meth:`from_estimator`, :meth:`from_predictions` or
    :meth:`from_scores`. All parameters are stored as attributes.

    Parameters
    ----------
    fpr : list of ndarray
        For each system, shares of normal samples that are called anomalous.

    tpr : list of ndarray
        Shares of anomalies found.

    auroc : list of float
        Area under each curve.

    name : list of str
        Name of each system.

    auroc_interval : list of (float, float) or None, default=None
        Ends of the intervals of the areas, NaN where there is none.

    band : list of (ndarray, ndarray, ndarray) or None, default=None
        For each system shares of normal samples, and at each of them the ends of the
        interval of the share of anomalies found. Empty where there is none.

    Attributes
    ----------
    lines_ : list of matplotlib Line2D
        The curves.

    bands_ : list of matplotlib Artist
        The intervals, if they are drawn.

    ax_ : matplotlib Axes
        The axes.

    figure_ : matplotlib Figure
        Their figure.

    See Also
    --------
    sklearn.metrics.RocCurveDisplay : Curves of classifiers.
    featad.compare_scores : AUROC and its intervals as a table.

    Notes
    -----
    `sklearn.metrics.RocCurveDisplay` takes the normal samples of an outlier detector,
    labeled 1, for what is to be found. Here it is the anomalies, labeled -1, as
    everywhere in featad. Beside this there are intervals, several systems, means over
    folds, and detection error curves.

    Bands are percentile bootstraps over test samples, normal and anomalous ones drawn
    separately, as in `featad.compare_scores`. They are pointwise: each holds for one
    share of false alarms, not for the whole curve. They say nothing about fitting the
    systems again.

    Examples
    --------
    >>> import numpy as np
    >>> import featad
    >>> y = np.repeat([1, -1], [30, 10])
    >>> score = np.arange(40) % 23
    >>> display = featad.RocDisplay.from_predictions(y, score, name="remainder")
    >>> round(display.auroc[0], 3)
    0.633
    """

    def __init__(self, *, fpr, tpr, auroc, name, auroc_interval=None, band=None):
        self.fpr = fpr
        self.tpr = tpr
        self.auroc = auroc
        self.name = name
        self.auroc_interval = auroc_interval
        self.band = band

    def plot(
        self,
        ax: Any = None,
        *,
        kind: Literal["roc", "det"] = "roc",
        bands: bool | None = None,
    ) -> "RocDisplay":
        """Draw the curves, the highest AUROC first in the legend.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where they are drawn. None: a new figure.

        kind : {"roc", "det"}, default="roc"
            "det" draws the share of anomalies that are missed against false alarms.
            Its axes are stretched where errors are rare, as the deviates of a normal
            distribution, and end at 0.5 % and 90 %.

        bands : bool or None, default=None
            Whether intervals are drawn. None: for at most three systems.

        Returns
        -------
        display : RocDisplay
            The object itself.

        Raises
        ------
        MissingExtraError
            If matplotlib is not installed (extra ``report``).

        ValueError
            If ``kind`` is something else.
        """
        if kind not in ("roc", "det"):
            raise ValueError(f"kind should be 'roc' or 'det', got {kind!r}.")
        ax = style.new_axes(4.8, 4.8) if ax is None else ax
        bands = len(self.fpr) <= _BANDS if bands is None else bands
        misses = kind == "det"
        self.lines_, self.bands_ = [], []
        for place, number in enumerate(
            np.argsort(-np.array(self.auroc), kind="stable")
        ):
            color = style.LINES[place % len(style.LINES)]
            tpr = self.tpr[number]
            self.lines_ += ax.plot(
                self.fpr[number],
                1 - tpr if misses else tpr,
                color=color,
                linestyle=style.DASHES[place // len(style.LINES) % len(style.DASHES)],
                linewidth=1.8,
                label=self._label(number),
                clip_on=misses,
            )
            if bands and self.band is not None and len(self.band[number][0]):
                shares, low, high = self.band[number]
                low, high = (1 - high, 1 - low) if misses else (low, high)
                self.bands_.append(
                    ax.fill_between(
                        shares, low, high, color=color, alpha=0.15, linewidth=0
                    )
                )
        style.bare(ax)
        (_as_det if misses else _as_roc)(ax)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    @classmethod
    def from_estimator(
        cls,
        system: Any,
        X: Any,
        y: ArrayLike,
        *,
        name: str | None = None,
        confidence: float | None = 0.95,
        n_bootstrap: int = 1000,
        random_state: int | np.random.RandomState | None = 0,
        kind: Literal["roc", "det"] = "roc",
        bands: bool | None = None,
        ax: Any = None,
    ) -> "RocDisplay":
        """Score samples by one or more fitted systems, and draw their curves.

        Parameters
        ----------
        system : estimator, or dict of str to estimator
            Fitted detectors, or pipelines, calibrations or searches that end in one.

        X : array-like or sequence of length n_samples
            What the systems take.

        y : array-like of shape (n_samples,)
            1 normal, -1 anomalous; both occur.

        name : str, default=None
            Name of a single system. None: that of the class of its innermost
            detector.

        confidence, n_bootstrap, random_state
            As for :meth:`from_scores`.

        kind, bands, ax
            As for :meth:`plot`.

        Returns
        -------
        display : RocDisplay

        Raises
        ------
        MissingExtraError
            If matplotlib is not installed (extra ``report``).

        ValueError
            If a label is not 1 or -1, or one of them is missing.
        """
        style.matplotlib()
        if not isinstance(system, Mapping):
            if name is None:
                name = type(flattened(system)[1]).__name__
            system = {name: system}
        return cls.from_predictions(
            y,
            {name: anomaly_scores(one, X) for name, one in system.items()},
            confidence=confidence,
            n_bootstrap=n_bootstrap,
            random_state=random_state,
            kind=kind,
            bands=bands,
            ax=ax,
        )

    @classmethod
    def from_predictions(
        cls,
        y: ArrayLike,
        anomaly_score: ArrayLike | Mapping[str, ArrayLike],
        *,
        name: str = "system",
        confidence: float | None = 0.95,
        n_bootstrap: int = 1000,
        random_state: int | np.random.RandomState | None = 0,
        kind: Literal["roc", "det"] = "roc",
        bands: bool | None = None,
        ax: Any = None,
    ) -> "RocDisplay":
        """Draw the curves of scores that are known.

        Parameters
        ----------
        y : array-like of shape (n_samples,)
            1 normal, -1 anomalous; both occur.

        anomaly_score : array-like of shape (n_samples,), or dict of str to array-like
            High = anomalous, as from `featad.anomaly_scores`; of one system, or of
            several by name.

        name : str, default="system"
            Name of a single system.

        confidence, n_bootstrap, random_state
            As for :meth:`from_scores`.

        kind, bands, ax
            As for :meth:`plot`.

        Returns
        -------
        display : RocDisplay

        Raises
        ------
        MissingExtraError
            If matplotlib is not installed (extra ``report``).

        ValueError
            If a label is not 1 or -1, one of them is missing, a score is not finite, or
            lengths differ.
        """
        if not isinstance(anomaly_score, Mapping):
            anomaly_score = {name: anomaly_score}
        return cls.from_scores(
            {name: (y, score) for name, score in anomaly_score.items()},
            confidence=confidence,
            n_bootstrap=n_bootstrap,
            random_state=random_state,
            kind=kind,
            bands=bands,
            ax=ax,
        )

    @classmethod
    def from_scores(
        cls,
        scores: pd.DataFrame | Mapping[str, tuple[ArrayLike, ArrayLike]],
        *,
        confidence: float | None = 0.95,
        n_bootstrap: int = 1000,
        random_state: int | np.random.RandomState | None = 0,
        kind: Literal["roc", "det"] = "roc",
        bands: bool | None = None,
        ax: Any = None,
    ) -> "RocDisplay":
        """Draw the curves of a comparison.

        Parameters
        ----------
        scores : DataFrame, or dict of str to (y, anomaly_score)
            As ``featad.compare(..., return_scores=True)`` returns them. With several
            folds a curve is the mean of those of the folds, at equal shares of normal
            samples, and the AUROC is the mean AUROC. In a dict, systems may have been
            tested on different samples.

        confidence : float in (0, 1) or None, default=0.95
            Coverage of the intervals. None: there are none.

        n_bootstrap : int, default=1000
            Number of draws for the intervals.

        random_state : int, RandomState instance or None, default=0
            Seeds the draws. An int gives the intervals of `featad.compare_scores` with
            this seed.

        kind, bands, ax
            As for :meth:`plot`.

        Returns
        -------
        display : RocDisplay

        Raises
        ------
        MissingExtraError
            If matplotlib is not installed (extra ``report``).

        ValueError
            If a column is missing, or a label or a score is wrong.

        Warns
        -----
        UserWarning
            If there is only one anomaly, or only one normal sample, which gives no
            interval.
        """
        style.matplotlib()
        if confidence is not None:
            check_share(confidence, "confidence")
        curves = curves_of(
            scores,
            confidence=confidence,
            n_bootstrap=n_bootstrap,
            random_state=random_state,
        )
        name, fpr, tpr, auroc, interval, band = map(list, zip(*curves, strict=True))
        display = cls(
            fpr=fpr,
            tpr=tpr,
            auroc=auroc,
            name=name,
            auroc_interval=None if confidence is None else interval,
            band=None if confidence is None else band,
        )
        return display.plot(ax, kind=kind, bands=bands)

    def _label(self, number: int) -> str:
        name = style.as_text(self.name[number], style.IN_LEGEND)
        text = f"{name}: AUROC {self.auroc[number]:.3f}"
        if self.auroc_interval is None or np.isnan(self.auroc_interval[number][0]):
            return text
        low, high = self.auroc_interval[number]
        return f"{text} ({low:.3f} to {high:.3f})"


def _as_roc(ax: Any) -> None:
    ax.plot([0, 1], [0, 1], color=style.QUIET, linewidth=1, linestyle=":")
    ax.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    ax.set_xlabel("normal images called anomalous")
    ax.set_ylabel("anomalous images found")
    style.legend(ax, "lower right")


def _as_det(ax: Any) -> None:
    ax.set_xscale("function", functions=(_deviate, norm.cdf))
    ax.set_yscale("function", functions=(_deviate, norm.cdf))
    ticks = [f"{100 * share:g} %" for share in _ERRORS]
    ax.set_xticks(_ERRORS, ticks)
    ax.set_yticks(_ERRORS, ticks)
    ax.set(xlim=(_LEAST, _MOST), ylim=(_LEAST, _MOST), box_aspect=1)
    ax.set_xlabel("normal images called anomalous")
    ax.set_ylabel("anomalous images missed")
    style.legend(ax, "upper right")


def _deviate(share: np.ndarray) -> np.ndarray:
    return norm.ppf(np.clip(share, 1e-6, 1 - 1e-6))
