"""The display of maps over images, with regions and masks, in one set of colors."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from featad._validation import check_labels
from featad.images import read_image, read_mask
from featad.maps import MapScale, segment
from featad.maps.systems import iter_maps, read_as_seen
from featad.plots import style
from featad.plots.overlays import overlaid

_DRAWN = 1000  # pixels: a longer side is drawn smaller
_OUTLINE, _BEHIND = "#00e5ff", "black"


class MapDisplay:
    """Images beside their anomaly maps, with the regions outlined, and their masks.

    Make one with :meth:`from_estimator` or :meth:`from_predictions`. All parameters are
    stored as attributes.

    Parameters
    ----------
    images : list of ndarray of shape (height, width, channels)
        In [0, 1].

    maps : list of ndarray of shape (height, width)
        In units of `featad.MapScale.ratios`: 0 is typical of normal images, and 1 is
        the threshold. With ``limits``, in any units.

    regions : list of ndarray of shape (height, width) or None, default=None
        Not 0 inside the regions, as `featad.segment` returns them.

    masks : list of (ndarray of shape (height, width) or None) or None, default=None
        True where an image is known to be anomalous.

    names : list of str or None, default=None
        What stands above each image.

    limits : (float, float) or None, default=None
        Lowest and highest value of maps without a scale. None: they have one.

    Attributes
    ----------
    axes_ : ndarray of shape (n_images, n_panels)
        Matplotlib's axes: the image, the map over it, and the mask, where there are
        any.

    contours_ : list of matplotlib Artist
        Outlines of regions, two for each image that has some: on it, and on its map.

    colorbar_ : matplotlib Colorbar
        What the colors mean.

    ax_ : matplotlib Axes
        The axes of the first map.

    figure_ : matplotlib Figure
        Their figure.

    See Also
    --------
    featad.fit_map_scale : The scale that gives values a meaning.
    featad.segment : The regions.

    Notes
    -----
    With a scale, colors mean the same for every image: what is like a typical pixel of
    normal images has none, and a map that stays below the threshold is never bright.
    Without one, the most anomalous pixel of these images is bright, even where all of
    them are normal, and no regions are outlined.

    Examples
    --------
    >>> import numpy as np
    >>> import featad
    >>> X = np.random.default_rng(0).normal(0.5, 0.02, (40, 16, 16)).clip(0, 1)
    >>> reader = featad.ImageReader(size=8, mode="L", flatten=True)
    >>> system = featad.make_pipeline(reader, featad.KMeansDistance(1)).fit(X[:20])
    >>> scale = featad.fit_map_scale(system, X[20:])
    >>> X[0, :8, :8] = 0.9
    >>> display = featad.MapDisplay.from_estimator(system, X[:2], scale=scale)
    >>> display.axes_.shape
    (2, 2)
    >>> [bool(found.any()) for found in display.regions]
    [True, False]
    """

    def __init__(
        self, *, images, maps, regions=None, masks=None, names=None, limits=None
    ):
        self.images = images
        self.maps = maps
        self.regions = regions
        self.masks = masks
        self.names = names
        self.limits = limits

    @property
    def figsize(self) -> tuple[float, float]:
        """Width and height of a figure that fits the panels, in inches."""
        height, width = self.maps[0].shape
        shape = np.clip(height / width, 0.3, 3)  # of a panel
        side = 4.2 if len(self.maps) == 1 else 2.4
        side = side if shape < 1 else side / shape
        rows, columns = len(self.maps), self._n_panels
        return float(columns * side + 1.1), float(rows * (side * shape + 0.3) + 0.2)

    @property
    def _n_panels(self) -> int:
        return 3 if self._has_masks else 2

    @property
    def _has_masks(self) -> bool:
        return self.masks is not None and any(mask is not None for mask in self.masks)

    def plot(self, ax: Any = None) -> "MapDisplay":
        """Draw a row of panels for each image.

        Parameters
        ----------
        ax : array-like of matplotlib Axes, default=None
            One for each image and panel, image by image. None: a new figure.

        Returns
        -------
        display : MapDisplay
            The object itself.

        Raises
        ------
        MissingExtraError
            If matplotlib is not installed (extra ``report``).

        ValueError
            If there are too few or too many axes.
        """
        shape = len(self.maps), self._n_panels
        axes = style.new_axes(*self.figsize, *shape) if ax is None else ax
        axes = np.array(axes, dtype=object).ravel()
        if len(axes) != shape[0] * shape[1]:
            raise ValueError(
                f"ax should hold {shape[0] * shape[1]} axes, {shape[1]} for each of "
                f"{shape[0]} images, got {len(axes)}."
            )
        self.axes_ = axes.reshape(shape)
        self.contours_: list[Any] = []
        for number, row in enumerate(self.axes_):
            self._plot_row(number, row)
        self.ax_ = self.axes_[0, 1]
        self.figure_ = self.ax_.figure
        self.colorbar_ = self._colorbar()
        return self

    @classmethod
    def from_estimator(
        cls,
        system: Any,
        X: Any,
        y: ArrayLike | None = None,
        *,
        scale: MapScale | None = None,
        masks: Sequence[Any] | None = None,
        method: str = "auto",
        min_area: float = 0.0005,
        names: Sequence[str] | None = None,
        ax: Any = None,
    ) -> "MapDisplay":
        """Make the maps of images by a fitted system, and draw them.

        Parameters
        ----------
        system : estimator
            As for `featad.anomaly_maps`.

        X : array-like or sequence of length n_samples
            A few images, as the system takes them.

        y : array-like of shape (n_samples,), default=None
            1 normal, -1 anomalous; told above the images.

        scale : MapScale, default=None
            From `featad.fit_map_scale`, by the same system and method.

        masks : sequence of length n_samples, default=None
            What `featad.read_mask` takes, or None, for each image.

        method : str, default="auto"
            As for `featad.anomaly_maps`. With a scale, "auto" is its method.

        min_area : float or int, default=0.0005
            As for `featad.segment`.

        names : sequence of str, default=None
            What stands above each image. None: its label, where it is known.

        ax : array-like of matplotlib Axes, default=None
            As for :meth:`plot`.

        Returns
        -------
        display : MapDisplay

        Raises
        ------
        MissingExtraError
            If matplotlib is not installed (extra ``report``).

        TypeError
            If the system does not have maps of this method.

        ValueError
            If X is a table, lengths differ, or a label is not 1 or -1.

        ImageReadError
            If an image cannot be read.
        """
        style.matplotlib()
        if scale is not None and method == "auto":
            method = scale.method
        maps = list(iter_maps(system, X, method=method))
        if y is not None:
            labels = check_labels(y, n_samples=len(maps))
            words = ["normal" if label == 1 else "anomalous" for label in labels]
            names = words if names is None else names
        images = [read_as_seen(system, source) for source in X]
        return cls.from_predictions(
            images,
            maps,
            scale=scale,
            masks=masks,
            min_area=min_area,
            names=names,
            ax=ax,
        )

    @classmethod
    def from_predictions(
        cls,
        images: Sequence[Any],
        maps: Sequence[ArrayLike],
        *,
        scale: MapScale | None = None,
        masks: Sequence[Any] | None = None,
        min_area: float = 0.0005,
        names: Sequence[str] | None = None,
        ax: Any = None,
    ) -> "MapDisplay":
        """Draw maps that are known.

        Parameters
        ----------
        images : sequence of length n_samples
            What `featad.read_image` takes.

        maps : sequence of n_samples array-like of shape (height, width)
            As `featad.anomaly_maps` returns them: high = anomalous, of the size of the
            image.

        scale, masks, min_area, names
            As for :meth:`from_estimator`.

        ax : array-like of matplotlib Axes, default=None
            As for :meth:`plot`.

        Returns
        -------
        display : MapDisplay

        Raises
        ------
        MissingExtraError
            If matplotlib is not installed (extra ``report``).

        ValueError
            If lengths or sizes differ.

        ImageReadError
            If an image cannot be read.
        """
        style.matplotlib()
        pixels = [read_image(image) for image in images]
        values = [np.asarray(one, dtype=float) for one in maps]
        for name, given in (("maps", values), ("masks", masks), ("names", names)):
            if given is not None and len(given) != len(pixels):
                raise ValueError(
                    f"{name} has {len(given)} entries, but there are {len(pixels)} "
                    "images."
                )
        known = [None if m is None else read_mask(m) for m in masks or []]
        for what, others in (("map", values), ("mask", known)):
            for image, one in zip(pixels, others, strict=False):
                if one is not None and one.shape != image.shape[:2]:
                    raise ValueError(
                        f"A {what} should be of the size of its image, "
                        f"{image.shape[:2]}, got {one.shape}."
                    )
        regions, limits = None, None
        if scale is None:
            limits = min(v.min() for v in values), max(v.max() for v in values)
        else:
            values = [scale.ratios(one) for one in values]
            regions = [segment(one, min_area=min_area)[0] for one in values]
        display = cls(
            images=pixels,
            maps=values,
            regions=regions,
            masks=known or None,
            names=None if names is None else list(names),
            limits=limits,
        )
        return display.plot(ax)

    def _plot_row(self, number: int, row: np.ndarray) -> None:
        values = self.maps[number]
        step = -(-max(values.shape) // _DRAWN)
        image, ratios = self.images[number][::step, ::step], values[::step, ::step]
        if self.limits is not None:
            low, high = self.limits
            ratios = 2 * (ratios - low) / (high - low or 1)
        gray = image.mean(axis=2)
        shown = image if image.shape[2] == 3 else gray
        row[0].imshow(shown, cmap="gray", vmin=0, vmax=1)
        row[1].imshow(overlaid(image, ratios))
        for ax in row:
            ax.axis("off")
        if self.names is not None and self.names[number]:
            row[0].set_title(
                style.as_text(self.names[number]),
                loc="left",
                fontsize=9,
                color=style.INK,
            )
        regions = None if self.regions is None else self.regions[number]
        if regions is not None and regions.any():
            inside = (regions[::step, ::step] > 0).astype(float)
            for ax in row[:2]:
                ax.contour(inside, [0.5], colors=_BEHIND, linewidths=2.4)
                self.contours_.append(
                    ax.contour(inside, [0.5], colors=_OUTLINE, linewidths=1.2)
                )
        if self._has_masks:
            mask = self.masks[number]
            inside = np.zeros_like(gray) if mask is None else mask[::step, ::step]
            row[2].imshow(inside, cmap="gray", vmin=0, vmax=1)

    def _colorbar(self) -> Any:
        ratios = np.linspace(0, 2, 256)[None]
        seen = overlaid(np.full((*ratios.shape, 1), 0.5), ratios)[0]  # over gray
        matplotlib = style.matplotlib()
        colors = matplotlib.colors.ListedColormap(seen)
        drawn = matplotlib.cm.ScalarMappable(matplotlib.colors.Normalize(0, 2), colors)
        axes = self.axes_.ravel().tolist()
        bar = self.figure_.colorbar(
            drawn, ax=axes, aspect=30, shrink=0.9, ticks=[0, 1, 2]
        )
        bar.outline.set_visible(False)
        told = ["normal", "threshold", "twice"]
        if self.limits is not None:
            low, high = self.limits
            told = [f"{value:.3g}" for value in (low, (low + high) / 2, high)]
        bar.ax.set_yticklabels(told, fontsize=8)
        return bar
