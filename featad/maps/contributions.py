"""Where is it odd? Where a position of the network's maps adds to the score."""

from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
import pandas as pd

from featad._progress import tracked
from featad._sklearn import output_container
from featad.base import anomaly_scores
from featad.features.leaving_out import cells_of, features_without_cells
from featad.map_scores import smooth_maps

_CELLS = 14  # at most, down and across
_STEP = 0.02  # of the way to the features without a cell
_SMOOTHING = 1.0  # cells: the maximum of a map depends on single positions


def iter_contributions(
    steps: Sequence, detector: Any, X: Sequence
) -> Iterator[np.ndarray]:
    """Yield how much each position of an image adds to its score.

    The image's features are pooled anew without one cell of their maps, for each cell.
    The contribution of a cell is how fast the score falls on the way from the features
    of the whole to those without it. All of them take one pass of the network.

    Parameters
    ----------
    steps : sequence of estimator
        Fitted transformers. The first one pools maps.

    detector : estimator
        Scores what comes out of them.

    X : sequence of sources

    Yields
    ------
    map : float32 ndarray of shape (rows, columns)
        Fall of the anomaly score, high = anomalous.

    Notes
    -----
    It is the slope at the image's features, not the difference to those without the
    cell. A system whitened by few samples takes every single image that lacks a cell
    for odd, and the difference says that, not where the image is odd.
    """
    rows, columns = cast(tuple[int, int], cells_of(steps[0]))
    grid = min(_CELLS, rows), min(_CELLS, columns)
    tables = features_without_cells(steps[0], X, grid)
    for table in tracked(tables, "map", len(X)):
        whole, without = table[:1], table[1:]
        samples: Any = np.vstack([whole, whole + _STEP * (without - whole)])
        if output_container(steps[0]) == "pandas":
            names = steps[0].get_feature_names_out()
            samples = pd.DataFrame(samples, columns=names)
        for step in steps[1:]:
            samples = step.transform(samples)
        scores = anomaly_scores(detector, samples)
        slopes = (scores[0] - scores[1:]) / _STEP * (len(scores) - 1)
        [smooth] = smooth_maps(slopes.reshape(1, *grid), _SMOOTHING)
        yield smooth.astype(np.float32)
