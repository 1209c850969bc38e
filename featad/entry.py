"""What a detector says of itself to the registry and to the guide."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Entry:
    """How a detector is named and described: its class attribute ``_entry``.

    Attributes
    ----------
    name : str or None
        What follows the features in the names of systems, as ``"kmeans"`` in
        ``"vgg16-kmeans"``. None: a detector that needs labels, which has no named
        system.

    summary : str
        Completes "A sample is anomalous if it is ...".

    source : str
        Authors and year.

    grid : dict of str to list
        Parameters of the system worth trying, for ``GridSearchCV``; those of the
        detector start with ``detector__``.

    options : dict
        Parameters of the detector in named systems, where they are not its defaults.

    whiten : bool
        Whether features are whitened before the detector: those of networks by
        `featad.ShrunkWhitening`, pixels and filters by PCA to 97 % of their variance.
        Not where the detector whitens by itself, or looks at the variance.

    takes : tuple of {"features", "patches", "images"} or None
        What its named systems give it: a row of features per image, a map of features,
        or the image itself. None: images where it trains networks, otherwise features.

    Examples
    --------
    >>> from featad import KMeansDistance
    >>> KMeansDistance._entry.name
    'kmeans'
    """

    name: str | None
    summary: str
    source: str
    grid: dict[str, list] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    whiten: bool = False
    takes: tuple[str, ...] | None = None
