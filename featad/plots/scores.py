"""The display of scores: histograms by label and kind, threshold, calibration."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from featad.base import anomaly_scores, anomaly_threshold, as_anomaly_score
from featad.maps.systems import flattened
from featad.metrics.scores import check_scores
from featad.plots import style
from featad.systems import last_step

_OWN_COLORS = len(style.KINDS) - 1  # the last one is for all rarer kinds


class ScoreDisplay:
    """Histogram of anomaly scores by label and kind, with the threshold.

    Make one with :meth:`from_estimator` or :meth:`from_predictions`. All parameters are
    stored as attributes.

    Parameters
    ----------
    anomaly_score : ndarray of shape (n_samples,)
        High = anomalous.

    y : ndarray of shape (n_samples,) or None, default=None
        1 normal, -1 anomalous. None: not known.

    kinds : ndarray of shape (n_samples,) or None, default=None
        Kind of each sample, such as "scratch". Those of anomalies have a color each, up
        to five; rarer ones share one.

    threshold : float or None, default=None
        Scores above it are called anomalous.

    calibration_score : ndarray of shape (n_calibration,) or None, default=None
        Anomaly scores of held-out normal samples of the fit.

    name : str or None, default=None
        Name of the system.

    Attributes
    ----------
    counts_ : dict of str to ndarray of shape (n_bins,)
        Number of samples in each bin, for "normal", "anomalous" or its kinds, or
        "images" without labels. Bars stand on one another in this order.

    edges_ : ndarray of shape (n_bins + 1,)
        Ends of the bins.

    expected_ : ndarray of shape (n_bins,) or None
        How many normal samples would lie in each bin, if they scored as those that
        calibrated the system. Without labels, how many samples, were all of them
        normal.

    bars_ : dict of str to BarContainer
        Of matplotlib, one for each entry of ``counts_``.

    threshold_line_, expected_line_ : matplotlib Artist or None
        The threshold, and the outline of ``expected_``.

    ax_ : matplotlib Axes
        The axes.

    figure_ : matplotlib Figure
        Their figure.

    See Also
    --------
    RocDisplay : What is found at which share of false alarms.
    featad.report.write_report : A page with these pictures, and the images.

    Examples
    --------
    >>> import numpy as np
    >>> import featad
    >>> X = np.random.default_rng(0).normal(size=(240, 2))
    >>> X[220:] += 5
    >>> y = np.repeat([1, -1], [220, 20])
    >>> system = featad.calibrate(featad.Mahalanobis(), target_fpr=0.05).fit(X[:200])
    >>> display = featad.ScoreDisplay.from_estimator(system, X[200:], y[200:])
    >>> {name: int(counts.sum()) for name, counts in display.counts_.items()}
    {'normal': 20, 'anomalous': 20}
    """

    def __init__(
        self,
        *,
        anomaly_score,
        y=None,
        kinds=None,
        threshold=None,
        calibration_score=None,
        name=None,
    ):
        self.anomaly_score = anomaly_score
        self.y = y
        self.kinds = kinds
        self.threshold = threshold
        self.calibration_score = calibration_score
        self.name = name

    def plot(self, ax: Any = None, *, bins: Any = None) -> "ScoreDisplay":
        """Draw the histogram.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where it is drawn. None: a new figure.

        bins : int, str or ndarray, default=None
            As for `numpy.histogram_bin_edges`. None: 10 to 40.

        Returns
        -------
        display : ScoreDisplay
            The object itself.

        Raises
        ------
        MissingExtraError
            If matplotlib is not installed (extra ``report``).
        """
        ax = style.new_axes(6.4, 3.6) if ax is None else ax
        style.bare(ax)
        groups = self._groups()
        self._count(groups, bins)
        left, widths = self.edges_[:-1], np.diff(self.edges_)
        below = np.zeros(len(left))
        self.bars_ = {}
        for (name, score, color), counts in zip(
            groups, self.counts_.values(), strict=True
        ):
            label = f"{style.as_text(name, style.IN_LEGEND)} ({len(score)})"
            self.bars_[name] = ax.bar(
                left, counts, widths, below, align="edge", color=color, label=label
            )
            below = below + counts
        self.expected_line_ = self.threshold_line_ = None
        if self.expected_ is not None:
            n_held_out = len(self.calibration_score)
            self.expected_line_ = ax.stairs(
                self.expected_,
                self.edges_,
                color=style.INK,
                linewidth=1.2,
                label=f"expected of normal ones,\nby {n_held_out} held out in the fit",
            )
        if self.threshold is not None:
            self.threshold_line_ = ax.axvline(
                self.threshold,
                color=style.INK,
                linestyle="--",
                linewidth=1.2,
                label=f"threshold ({style.as_number(self.threshold)})",
            )
        tallest = below if self.expected_ is None else np.append(below, self.expected_)
        ax.set_ylim(0, 1.05 * max(1, tallest.max()))
        ax.set_xlabel("anomaly score")
        ax.set_ylabel("images")
        ax.yaxis.get_major_locator().set_params(integer=True)
        if self.name is not None:
            ax.set_title(style.as_text(self.name), loc="left", fontsize="medium")
        style.legend(ax)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    @classmethod
    def from_estimator(
        cls,
        system: Any,
        X: Any,
        y: ArrayLike | None = None,
        *,
        kinds: Sequence[str] | None = None,
        name: str | None = None,
        bins: Any = None,
        ax: Any = None,
    ) -> "ScoreDisplay":
        """Score samples by a fitted system, and draw the histogram.

        Parameters
        ----------
        system : estimator
            A fitted detector, or a pipeline, calibration or search that ends in one.

        X : array-like or sequence of length n_samples
            What the system takes.

        y : array-like of shape (n_samples,), default=None
            1 normal, -1 anomalous. None: not known.

        kinds : sequence of str, default=None
            Kind of each sample, such as ``ImageDataset.kinds``.

        name : str, default=None
            Name of the system. None: that of the class of its innermost detector.

        bins, ax
            As for :meth:`plot`.

        Returns
        -------
        display : ScoreDisplay
            The threshold is the system's own, where it has one. The outline of what is
            expected of normal samples is drawn for a system that is calibrated.

        Raises
        ------
        MissingExtraError
            If matplotlib is not installed (extra ``report``).

        ValueError
            If a label is not 1 or -1, or lengths differ.
        """
        style.matplotlib()
        detector = last_step(system)
        held_out = getattr(detector, "calibration_scores_", None)
        return cls.from_predictions(
            y,
            anomaly_scores(system, X),
            kinds=kinds,
            threshold=(
                anomaly_threshold(system) if hasattr(detector, "offset_") else None
            ),
            calibration_score=None if held_out is None else as_anomaly_score(held_out),
            name=type(flattened(system)[1]).__name__ if name is None else name,
            bins=bins,
            ax=ax,
        )

    @classmethod
    def from_predictions(
        cls,
        y: ArrayLike | None,
        anomaly_score: ArrayLike,
        *,
        kinds: Sequence[str] | None = None,
        threshold: float | None = None,
        calibration_score: ArrayLike | None = None,
        name: str | None = None,
        bins: Any = None,
        ax: Any = None,
    ) -> "ScoreDisplay":
        """Draw the histogram of scores that are known.

        Parameters
        ----------
        y : array-like of shape (n_samples,) or None
            1 normal, -1 anomalous. None: not known.

        anomaly_score : array-like of shape (n_samples,)
            High = anomalous, as from `featad.anomaly_scores`; finite.

        kinds, threshold, calibration_score, name
            As for `ScoreDisplay`.

        bins, ax
            As for :meth:`plot`.

        Returns
        -------
        display : ScoreDisplay

        Raises
        ------
        MissingExtraError
            If matplotlib is not installed (extra ``report``).

        ValueError
            If a label is not 1 or -1, a score is not finite, or lengths differ.
        """
        style.matplotlib()
        score = np.asarray(anomaly_score, dtype=float)
        labels = np.ones(len(score), dtype=int) if y is None else y
        labels, score = check_scores(labels, score, needs_both=False)
        if kinds is not None and len(kinds) != len(score):
            raise ValueError(
                f"kinds has {len(kinds)} entries, but there are {len(score)} samples."
            )
        display = cls(
            anomaly_score=score,
            y=None if y is None else labels,
            kinds=None if kinds is None else np.asarray(kinds),
            threshold=threshold,
            calibration_score=(
                None
                if calibration_score is None
                else np.asarray(calibration_score, dtype=float)
            ),
            name=name,
        )
        return display.plot(ax, bins=bins)

    def _groups(self) -> list[tuple[str, np.ndarray, str]]:
        """Return name, scores and color of what has bars of its own."""
        score, y = self.anomaly_score, self.y
        if y is None:
            return [("images", score, style.NORMAL)]
        groups = [("normal", score[y == 1], style.NORMAL)]
        odd = score[y == -1]
        if self.kinds is None:
            return [*groups, ("anomalous", odd, style.ANOMALOUS)]
        of_kind = np.array([str(kind) for kind in self.kinds[y == -1]], dtype=object)
        names, sizes = np.unique(of_kind, return_counts=True)
        ordered = names[np.argsort(-sizes, kind="stable")].tolist()
        own = ordered if len(ordered) <= len(style.KINDS) else ordered[:_OWN_COLORS]
        for name, color in zip(own, style.KINDS, strict=False):
            told = f"anomalous: {name}" if name == "normal" else name
            groups.append((told, odd[of_kind == name], color))
        others = ordered[len(own) :]
        if others:
            rest = odd[np.isin(of_kind, others)]
            groups.append((f"{len(others)} other kinds", rest, style.KINDS[-1]))
        return groups

    def _count(self, groups: list, bins: Any) -> None:
        score, known = self.anomaly_score, self.calibration_score
        extent = [score, [] if self.threshold is None else [self.threshold]]
        extent += [] if known is None else [known]
        together = np.concatenate(extent)
        bins = min(40, max(10, len(score) // 2)) if bins is None else bins
        self.edges_ = np.histogram_bin_edges(together, bins=bins)
        self.counts_ = {
            name: np.histogram(values, self.edges_)[0] for name, values, _ in groups
        }
        self.expected_ = None
        n_normal = len(groups[0][1])
        if known is not None and n_normal:
            share = np.histogram(known, self.edges_)[0] / len(known)
            self.expected_ = share * n_normal
