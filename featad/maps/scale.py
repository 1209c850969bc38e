"""One scale for the maps of all images, fixed by maps of normal ones."""

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone

from featad._sklearn import num_samples
from featad._whole_files import replacing
from featad.holding_out import calibration_splits
from featad.maps.systems import flattened, iter_maps, map_method
from featad.pipeline import make_pipeline
from featad.refits import fit_copy, rows
from featad.systems import trains_networks

_VALUES = 10_000  # of each map, at most, that tell what is typical


@dataclass(frozen=True)
class MapScale:
    """What values of a system's maps mean, whatever the image.

    It does to maps what `featad.scorer.Scorer` does to scores: 0 is typical of normal
    images, 1 is the threshold.

    Attributes
    ----------
    method : str
        How the maps are made, as for `featad.anomaly_maps`.

    typical : float
        Median of the pixels of normal maps.

    threshold : float
        Highest value that normal maps have, but for a share ``target_fpr`` of them.

    n_images : int
        Number of normal maps.

    target_fpr : float
        Share of normal images that may have a pixel above the threshold.

    model : str or None
        Digest of the model file to which the scale belongs, where there is one.

    Examples
    --------
    >>> scale = MapScale("own", 2.0, 6.0, n_images=30, target_fpr=0.05)
    >>> scale.ratios([[2.0, 4.0, 6.0, 26.0]])
    array([[0. , 0.5, 1. , 6. ]], dtype=float32)
    >>> scale.transform([[2.0, 4.0, 6.0, 26.0]])
    array([[0.  , 0.25, 0.5 , 1.  ]], dtype=float32)
    """

    method: str
    typical: float
    threshold: float
    n_images: int
    target_fpr: float
    model: str | None = None

    def ratios(self, maps: ArrayLike) -> np.ndarray:
        """Return maps in units of this scale, without an end.

        Parameters
        ----------
        maps : array-like of any shape
            From `featad.anomaly_maps`, by the same system and method.

        Returns
        -------
        ratios : float32 ndarray of the same shape
            0 = a typical pixel of normal images, 1 = the threshold.
        """
        rounding = float(np.finfo(np.float32).eps) * abs(self.threshold)
        step = max(self.threshold - self.typical, rounding, 1e-30)
        return ((np.asarray(maps, np.float64) - self.typical) / step).astype(np.float32)

    def transform(self, maps: ArrayLike) -> np.ndarray:
        """Return maps from 0 to 1, as overlays show them.

        Parameters
        ----------
        maps : array-like of any shape
            As for :meth:`ratios`.

        Returns
        -------
        maps : float32 ndarray of the same shape
            0 = a typical pixel of normal images or less, 0.5 = the threshold, 1 = twice
            as far from typical, or farther.
        """
        return np.clip(self.ratios(maps) / 2, 0, 1)

    def save(self, path: str | os.PathLike) -> None:
        """Write the scale to a JSON file."""
        text = json.dumps(asdict(self), indent=2) + "\n"
        with replacing(path) as part:
            part.write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike) -> "MapScale":
        """Read the scale of a JSON file that `save` has written.

        Raises
        ------
        ValueError
            If the file is of another kind.
        """
        try:
            found = json.loads(Path(path).read_text(encoding="utf-8"))
            return cls(**{name: found[name] for name in cls.__dataclass_fields__})
        except (KeyError, TypeError, UnicodeDecodeError, ValueError) as error:
            raise ValueError(
                f"{str(path)!r} is not a scale of maps that featad has written."
            ) from error


def fit_map_scale(
    system: Any,
    X: Any,
    *,
    method: str = "auto",
    cv: float | None = None,
    groups: ArrayLike | None = None,
    target_fpr: float = 0.05,
    random_state: int | np.random.RandomState | None = None,
    progress: Callable[[int], None] = lambda n_images: None,
) -> MapScale:
    """Return the scale of a system's maps, from maps of normal images.

    Parameters
    ----------
    system : estimator
        A fitted system, as for `featad.anomaly_maps`.

    X : array-like or sequence of length n_samples
        Normal images that the system was not fitted on. With ``cv``, those that it was
        fitted on.

    method : str, default="auto"
        As for `featad.anomaly_maps`.

    cv : float in (0, 1), default=None
        None: the system maps ``X``. A share: a copy of the system is fitted on the
        rest of ``X``, and maps that share of it. Without this, images that the system
        knows would look too normal.

    groups : array-like of shape (n_samples,), default=None
        With ``cv``: what each image shows, such as a patient. All images of a group are
        held out, or none.

    target_fpr : float in (0, 1), default=0.05
        Share of normal images that may have a pixel above the threshold.

    random_state : int, RandomState instance or None, default=None
        Chooses the images that are held out.

    progress : callable
        Called with 1 for each map.

    Returns
    -------
    scale : MapScale
        For maps of this system, and of this method, only.

    Raises
    ------
    ValueError
        If there are fewer than 2 images, ``groups`` without ``cv``, or ``cv`` is given
        for a detector that trains networks: no two trainings have the same scale.

    Notes
    -----
    A calibrated system that was fitted on a share of its samples has not seen the
    others. ``X[i]``, with ``i = system[-1].calibration_indices_``, are images for its
    scale, without ``cv``. One that was calibrated by folds has seen all of them.

    Examples
    --------
    >>> import numpy as np
    >>> import featad
    >>> X = np.random.default_rng(0).normal(0.5, 0.02, (40, 16, 16)).clip(0, 1)
    >>> reader = featad.ImageReader(size=8, mode="L", flatten=True)
    >>> system = featad.make_pipeline(reader, featad.KMeansDistance(1)).fit(X[:20])
    >>> scale = featad.fit_map_scale(system, X[20:])
    >>> scale.method, scale.n_images
    ('occlusion', 20)
    """
    method = map_method(system, method)
    if not 0 < target_fpr < 1:
        raise ValueError(f"target_fpr should be in (0, 1), got {target_fpr!r}.")
    factor = 1.0
    if cv is not None:
        system, X, factor = _held_out(system, X, cv, groups, random_state)
    elif groups is not None:
        raise ValueError("groups say what cv holds out together. Pass cv, too.")
    typical, highest = [], []
    for one in iter_maps(system, X, method=method):
        values = one.ravel()
        typical.append(np.median(values[:: -(-values.size // _VALUES)]))
        highest.append(values.max())
        progress(1)
    if len(highest) < 2:
        raise ValueError(
            f"A scale takes maps of 2 normal images or more, got {len(highest)}; 20 "
            "make it firm."
        )
    threshold = np.quantile(highest, 1 - target_fpr, method="higher")
    return MapScale(
        method,
        float(factor * np.median(typical)),
        float(factor * threshold),
        len(highest),
        target_fpr,
    )


def _held_out(system: Any, X: Any, cv: Any, groups: Any, random_state: Any) -> tuple:
    """Return a copy fitted on a share of X, the rest, and what its scores lack."""
    steps, detector = flattened(system)
    if trains_networks(detector):
        raise ValueError(
            f"{type(detector).__name__} trains networks, and no two trainings have "
            "maps of one scale. Pass normal images that the system was not fitted on, "
            "and cv=None."
        )
    if not isinstance(cv, float) or not 0 < cv < 1:
        raise ValueError(f"cv should be None or a share in (0, 1), got {cv!r}.")
    labels = np.ones(num_samples(X), dtype=np.int64)
    [(train, test)] = calibration_splits(cv, X, None, labels, groups, random_state)
    fitted = make_pipeline(*steps, detector)
    copy = make_pipeline(*map(clone, steps), clone(detector))
    copy, factor = fit_copy(fitted, copy, X, None, None, train)
    return copy, rows(X, test), factor
