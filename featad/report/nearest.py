"""The normal training images that an image is nearest to, as a system sees them."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from sklearn.neighbors import NearestNeighbors
from sklearn.utils import gen_batches

from featad.images import ImageReader
from featad.maps.systems import flattened

AT_MOST = 500
"""Number of training images that are compared with."""

_VALUES = 2**24  # of their features, held at a time: 64 MiB
_BATCH = 16


class NearestNormal:
    """Find the training images that are nearest to others.

    Near is a small Euclidean distance between features: what the steps before the
    detector make of the images. Maps of features are averaged over their positions.

    Parameters
    ----------
    system : estimator
        A fitted system.

    train : sequence of sources
        The normal images that it was fitted on. Of more than 500, or of those whose
        features take more than 64 MiB, a part is taken, evenly spread.

    Attributes
    ----------
    sources : list of sources
        The training images that are compared with.

    says : str
        What nearest means here, in one or two sentences.

    Raises
    ------
    TypeError
        If the system has no features of whole images; the message says why.

    Examples
    --------
    >>> import numpy as np
    >>> import featad
    >>> parts = [np.full((8, 8), gray) for gray in (0.1, 0.5, 0.9)]
    >>> reader = featad.ImageReader(size=4, flatten=True)
    >>> system = featad.make_pipeline(reader, featad.KMeansDistance(1)).fit(parts)
    >>> distances, places = NearestNormal(system, parts).find([np.full((8, 8), 0.8)], 1)
    >>> places.tolist()
    [[2]]
    """

    def __init__(self, system: Any, train: Sequence[Any]) -> None:
        self._steps, detector = flattened(system)
        if not self._steps:
            raise TypeError(
                f"{type(detector).__name__} takes the images themselves, so there are "
                "no features by which whole images are near to one another."
            )
        self._of_maps = False
        first = next(self._features([train[0]]))
        n_images = max(1, min(len(train), AT_MOST, _VALUES // first.shape[1]))
        chosen = np.linspace(0, len(train) - 1, n_images).astype(int)
        self.sources = [train[i] for i in chosen]
        table = np.concatenate(list(self._features(self.sources)))
        self._index = NearestNeighbors(algorithm="brute").fit(table)
        self.says = self._sentence(len(train))

    def find(
        self, sources: Sequence[Any], n_neighbors: int = 3
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the distances to the nearest training images, and their places.

        Parameters
        ----------
        sources : sequence of sources

        n_neighbors : int, default=3

        Returns
        -------
        distances : ndarray of shape (n_sources, n_neighbors)
            The nearest first. There are fewer columns if there are fewer images.

        places : ndarray of shape (n_sources, n_neighbors)
            In ``sources`` of this object.
        """
        k = min(n_neighbors, len(self.sources))
        found = [self._index.kneighbors(rows, k) for rows in self._features(sources)]
        distances, places = zip(*found, strict=True)
        return np.concatenate(distances), np.concatenate(places)

    def _features(self, sources: Sequence[Any]) -> Iterator[np.ndarray]:
        """Yield the features of a few images at a time, one row an image."""
        for batch in gen_batches(len(sources), _BATCH):
            rows: Any = [sources[i] for i in range(batch.start, batch.stop)]
            for step in self._steps:
                rows = step.transform(rows)
            rows = np.asarray(rows, dtype=np.float32)
            if rows.ndim == 4 and not isinstance(self._steps[-1], ImageReader):
                self._of_maps = True
                rows = rows.mean(axis=(1, 2))
            yield rows.reshape(len(rows), -1)

    def _sentence(self, n_train: int) -> str:
        names = ", ".join(type(step).__name__ for step in self._steps)
        what = f"the features that the system makes of them ({names})"
        if isinstance(self._steps[-1], ImageReader):
            what = "pixels, as the system reads them"
        elif self._of_maps:
            what = f"{what}, averaged over their positions"
        kept = len(self.sources)
        which = f"the {kept:,}" if kept == n_train else f"{kept:,} of the {n_train:,}"
        return (
            f"Nearest among {which} normal training images: the smallest distance "
            f"between {what}."
        )
