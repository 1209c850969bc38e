"""Large images in tiles: a system that sees tiles decides on whole images."""

from collections.abc import Callable, Iterator, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_is_fitted

from featad.base import (
    COUNT,
    BaseMetaDetector,
    Interval,
    RealNotInt,
    StrOptions,
    as_anomaly_score,
)
from featad.conformal import HeldOutScores
from featad.holding_out import fit_and_hold_out
from featad.images import check_sources
from featad.images.tiles import Stitcher, TileReader, cut_tiles, in_batches
from featad.map_scores import REDUCTIONS, reduce_maps
from featad.map_units import has_maps
from featad.maps import anomaly_maps
from featad.refits import fit_rows, rows
from featad.shared_steps import NOTHING, rejoin
from featad.systems import (
    seeded_copy,
    set_everywhere,
    split_stateless,
    trains_networks,
)


class TiledDetector(BaseMetaDetector):
    """Score large images by their overlapping tiles, so that small defects are seen.

    A network sees an image at a few hundred pixels a side: a spot of 12 pixels in an
    image of 4,000 is lost. Here the system sees tiles in full resolution. It is fitted
    on tiles of normal images; the image's score is that of its strangest tiles.

    Parameters
    ----------
    estimator : estimator
        A detector of images, or a pipeline that ends in one, such as
        ``featad.build("mini-stats-mahalanobis")``. It is given tiles as arrays, float32
        (n, tile_size, tile_size, 3) in [0, 1].

    tile_size : int, default=224
        Height and width of a tile, in pixels of the images. Smaller images are
        continued by their mirror image.

    overlap : float in [0, 1), default=0.25
        Least share of a tile that its neighbor covers too, so that what one tile cuts
        another sees whole.

    score_by : {"max", "top1%", "mean"}, default="max"
        How the scores of an image's tiles become its own: the strangest, the mean of
        the strangest hundredth, the mean.

    max_tiles : int, default=2000
        Most tiles that the system is fitted on, drawn evenly from the images; at least
        one of each.

    batch_size : int, default=32
        Number of tiles that go through the system at a time.

    target_fpr : float in (0, 1), default=0.05
        Accepted share of normal images that are called anomalous.

    cv : int, float, splitter, iterable of (train, test) or None, default=None
        Which normal images are held out to set the threshold, as for
        `CalibratedDetector`.

    max_value : float, default=None
        The pixel value that is white, see `featad.read_image`.

    max_pixels : int, default=None
        Largest image that is read, see `featad.read_image`.

    truncated : {"raise", "accept"}, default="raise"
        What to do with a JPEG file that lacks its last bytes, see `featad.read_image`.

    n_jobs : int, default=None
        Number of processes that fit copies. None is one.

    random_state : int, RandomState instance or None, default=None
        Draws tiles, shuffles images before they are held out, and seeds every
        ``random_state`` inside ``estimator`` that is None.

    Attributes
    ----------
    estimator_ : estimator
        The fitted system of tiles.

    offset_ : float
        The threshold on the scale of ``score_samples``, for images.

    held_out_scores_ : ndarray of shape (n_images,), float64
        Score of each image of ``fit`` by a copy that saw none of its tiles, NaN where
        it was not held out. `CalibratedDetector` takes its threshold from them.

    n_tiles_ : int
        Number of tiles that the system was fitted on.

    Notes
    -----
    Tiles of one image are held out together, with those of its group, and the threshold
    is one of images. So an image of normal texture is called anomalous as often as
    asked, however many tiles it has. The strangest of more tiles is stranger: new
    images should be about as large as those of ``fit``.

    Images are read one at a time, once in ``score_samples``, twice in ``fit``. Memory
    holds one image, one batch of tiles, and what the first steps of the system that
    learn nothing, such as a network, make of ``max_tiles`` tiles.

    Labels are not used: which tile of an anomalous image is anomalous is not known.
    Images labeled -1 are left out.

    Examples
    --------
    >>> import numpy as np
    >>> from featad import ImageReader, Mahalanobis, TiledDetector, make_pipeline
    >>> rng = np.random.default_rng(0)
    >>> images = [rng.uniform(0.4, 0.6, size=(60, 80)) for _ in range(20)]
    >>> reader = ImageReader(size=4, mode="L", flatten=True)
    >>> tiles = make_pipeline(reader, Mahalanobis())
    >>> system = TiledDetector(tiles, tile_size=20, random_state=0).fit(images)
    >>> spotted = images[0].copy()
    >>> spotted[30:34, 50:54] = 0
    >>> system.predict([spotted])
    array([-1])
    >>> rows, columns = np.nonzero(system.anomaly_map([spotted])[0] > 200)
    >>> bool(25 <= rows.mean() <= 35), bool(50 <= columns.mean() <= 55)
    (True, True)
    """

    _parameter_constraints: dict = {
        **BaseMetaDetector._parameter_constraints,
        "tile_size": [COUNT],
        "overlap": [Interval(Real, 0, 1, closed="left")],
        "score_by": [StrOptions(set(REDUCTIONS))],
        "max_tiles": [COUNT],
        "batch_size": [COUNT],
        "target_fpr": [Interval(Real, 0, 1, closed="neither")],
        "cv": ["cv_object", Interval(RealNotInt, 0, 1, closed="neither")],
        "max_value": [None, Interval(Real, 0, None, closed="neither")],
        "max_pixels": [None, COUNT],
        "truncated": [StrOptions({"raise", "accept"})],
        "n_jobs": [Integral, None],
    }

    # with metadata routing, fit(X, groups=...) of a pipeline or search reaches fit
    __metadata_request__fit = {"groups": True}

    _trains_networks = False  # the scores that set the threshold are of one scale

    def __init__(
        self,
        estimator,
        *,
        tile_size=224,
        overlap=0.25,
        score_by="max",
        max_tiles=2000,
        batch_size=32,
        target_fpr=0.05,
        cv=None,
        max_value=None,
        max_pixels=None,
        truncated="raise",
        n_jobs=None,
        random_state=None,
    ):
        self.estimator = estimator
        self.tile_size = tile_size
        self.overlap = overlap
        self.score_by = score_by
        self.max_tiles = max_tiles
        self.batch_size = batch_size
        self.target_fpr = target_fpr
        self.cv = cv
        self.max_value = max_value
        self.max_pixels = max_pixels
        self.truncated = truncated
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(
        self, X: Any, y: Any = None, *, groups: ArrayLike | None = None
    ) -> "TiledDetector":
        """Fit the system on tiles, and its threshold on held-out images.

        Parameters
        ----------
        X : sequence of sources, or array of shape (n_images, height, width[, C])
            Paths, bytes, PIL images or arrays, of any sizes.

        y : array-like of shape (n_images,), default=None
            Images labeled -1 are left out.

        groups : array-like of shape (n_images,), default=None
            What each image shows. Images with equal values are held out together.

        Returns
        -------
        self : TiledDetector
            The fitted detector.

        Raises
        ------
        ValueError
            If a parameter is out of range, there are fewer than 2 normal images or
            groups, or the system rejects the tiles.
        ImageReadError
            If an image cannot be read.
        """
        self._validate_params()
        sources = check_sources(X, estimator_name=type(self).__name__)
        draw, seed = check_random_state(self.random_state).randint(2**31 - 1, size=2)
        system = seeded_copy(
            self.estimator, None if self.random_state is None else int(seed)
        )
        set_everywhere(system, "max_value", None)  # tiles are in [0, 1]
        head, tail = split_stateless(system)
        tiles, owners = self._learned_tiles(head, sources, y, int(draw))

        def score(tail: Any, numbers: np.ndarray) -> np.ndarray:
            chosen = [sources[number] for number in numbers.tolist()]
            return self._image_scores(_after(head, tail.score_samples), chosen)

        fitted, held_out = fit_and_hold_out(
            lambda: _OfImages(clone(tail), tiles, owners, score),
            np.arange(len(sources)),
            y,
            groups,
            cv=self.cv,
            random_state=int(seed),
            n_jobs=self.n_jobs,
            owner=type(self).__name__,
        )
        known = np.flatnonzero(~np.isnan(held_out))
        found = HeldOutScores.of(held_out[known], rows(groups, known))
        steps = [] if head is None else [s for _, s in head.steps if s not in NOTHING]
        self.estimator_ = rejoin(system, steps, fitted.estimator_)
        self.held_out_scores_ = held_out
        self.n_tiles_ = len(tiles)
        self.offset_ = found.threshold(self.target_fpr)
        return self

    def score_samples(self, X: Any) -> np.ndarray:
        """Return one score per image, high = normal.

        Parameters
        ----------
        X : sequence of sources, or array of shape (n_images, height, width[, C])
            Paths, bytes, PIL images or arrays, of any sizes.

        Returns
        -------
        scores : ndarray of shape (n_images,), float64
            In the units of ``estimator_``.

        Raises
        ------
        ImageReadError
            If an image cannot be read.
        NotFittedError
            If ``fit`` was not called.
        """
        check_is_fitted(self)
        sources = check_sources(X, estimator_name=type(self).__name__)
        return self._image_scores(self.estimator_.score_samples, sources)

    def anomaly_map(self, X: Any) -> np.ndarray | list[np.ndarray]:
        """Return how strange every pixel of images is.

        Parameters
        ----------
        X : sequence of sources, or array of shape (n_images, height, width[, C])
            As for :meth:`score_samples`.

        Returns
        -------
        maps : ndarray of shape (n_images, height, width), or list of ndarray, float32
            High = anomalous; a list if the images have several sizes. The maps of the
            tiles, where the system has maps, else each tile's anomaly score all over
            it. Where tiles overlap, one fades into the other.

        Raises
        ------
        ImageReadError
            If an image cannot be read.
        NotFittedError
            If ``fit`` was not called.
        """
        check_is_fitted(self)
        sources = check_sources(X, estimator_name=type(self).__name__)
        maps_tiles = has_maps(self.estimator_)
        maps = []
        for _, image, corners in self._reader().read(sources):
            stitcher, places = Stitcher(image.shape[:2], self.tile_size), iter(corners)
            tiles = cut_tiles(image, corners, self.tile_size)
            for batch in in_batches(tiles, self.batch_size):
                if maps_tiles:
                    values = anomaly_maps(self.estimator_, batch)
                else:
                    values = as_anomaly_score(self.estimator_.score_samples(batch))
                for value in values:
                    stitcher.add(next(places), value)
            maps.append(stitcher.map())
        return np.stack(maps) if len({m.shape for m in maps}) == 1 else maps

    def _learned_tiles(
        self, head: Any, sources: Sequence, y: Any, seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return what the first steps make of tiles to learn, and whose tiles they are.

        Of each image that is not labeled anomalous equally many are drawn.
        """
        numbers = list(range(len(sources)))
        if y is not None and len(y) == len(sources):  # else it will be refused
            numbers = np.flatnonzero(np.asarray(y) != -1).tolist()
        share = max(1, self.max_tiles // max(1, len(numbers)))
        rng = np.random.default_rng(seed)
        owners: list[int] = []

        def tiles() -> Iterator[np.ndarray]:
            chosen = [sources[number] for number in numbers]
            for place, image, corners in self._reader().read(chosen):
                drawn = np.sort(rng.permutation(len(corners))[:share])
                owners.extend([numbers[place]] * len(drawn))
                yield from cut_tiles(image, [corners[i] for i in drawn], self.tile_size)

        transform = (lambda tiles: tiles) if head is None else head.fit_transform
        made = [transform(batch) for batch in in_batches(tiles(), self.batch_size)]
        return np.concatenate(made or [np.empty(0)]), np.array(owners, dtype=int)

    def _image_scores(
        self, score: Callable[[np.ndarray], np.ndarray], sources: Sequence
    ) -> np.ndarray:
        """Return the scores of images by a function that scores tiles."""
        found = np.empty(len(sources))
        for place, image, corners in self._reader().read(sources):
            tiles = cut_tiles(image, corners, self.tile_size)
            scores = [score(batch) for batch in in_batches(tiles, self.batch_size)]
            strangeness = as_anomaly_score(np.concatenate(scores))
            found[place] = reduce_maps(strangeness[None], self.score_by)[0]
        return as_anomaly_score(found)

    def _reader(self) -> TileReader:
        names = ("max_value", "max_pixels", "truncated")
        reading = {name: getattr(self, name) for name in names}
        return TileReader(self.tile_size, self.overlap, reading)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        return tags


class _OfImages:
    """A system of tiles in the form of one that is given the numbers of images.

    So images, not tiles, are held out from it.
    """

    _uses_labels = False

    def __init__(self, tail, tiles, owners, score):
        self.estimator_ = tail
        self._tiles = tiles
        self._owners = owners
        self._score = score
        self._trains_networks = trains_networks(tail)

    def fit(self, X: np.ndarray, y: Any = None, groups: Any = None) -> "_OfImages":
        """Fit on the tiles of these images."""
        chosen = np.flatnonzero(np.isin(self._owners, X))
        place = np.searchsorted(X, self._owners[chosen])
        groups = X[place] if groups is None else np.asarray(groups)[place]
        tiles = rows(self._tiles, chosen)
        fit_rows(self.estimator_, tiles, None, groups, np.arange(len(chosen)))
        return self

    def score_samples(self, X: np.ndarray) -> np.ndarray:
        """Score these images by all their tiles."""
        return self._score(self.estimator_, X)


def _after(head: Any, score: Callable) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function that scores what the first steps make of tiles."""
    return score if head is None else lambda tiles: score(head.transform(tiles))
