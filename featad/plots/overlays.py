"""The colors of maps over images."""

import numpy as np

from featad.plots import style

_COLORS, _FROM, _TO = "inferno", 0.55, 0.95  # the part of the colors that is used
_OPAQUE = [0.3, 1, 2], [0, 0.75, 0.9]  # ratios, and how opaque the map is at each


def overlaid(image: np.ndarray, ratios: np.ndarray) -> np.ndarray:
    """Return a gray image with its map over it, in the colors of all overlays.

    Parameters
    ----------
    image : ndarray of shape (height, width, channels)
        In [0, 1].

    ratios : ndarray of shape (height, width)
        The map in units of `featad.MapScale.ratios`.

    Returns
    -------
    pixels : ndarray of shape (height, width, 3), float
        In [0, 1].

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed (extra ``report``).

    Examples
    --------
    >>> import numpy as np
    >>> from featad.plots import overlaid
    >>> overlaid(np.ones((16, 16, 3)), np.zeros((16, 16))).shape
    (16, 16, 3)
    """
    places = _FROM + (_TO - _FROM) * np.clip(ratios, 0, 2) / 2
    colors = style.matplotlib().colormaps[_COLORS](places)[..., :3]
    alpha = np.interp(ratios, *_OPAQUE)[..., None]
    return alpha * colors + (1 - alpha) * image.mean(axis=2, keepdims=True)
