"""Anomalous samples are mapped far from normal ones, as labeled anomalies are."""

import torch
from torch import Tensor
from typing_extensions import Unpack

from featad.entry import Entry
from featad.neural.detector import NON_NEGATIVE, Context
from featad.neural.hypersphere import HypersphereDetector, HypersphereOptions
from featad.neural.losses import TINY


class DeepSAD(HypersphereDetector):
    """Score a sample by its distance from a center that labels pull to or push from.

    Meant for many unlabeled samples, most of them normal, and a few labeled ones. ``y``
    of ``fit`` is 1 for samples known to be normal, -1 for known anomalies, and 0 for
    unlabeled samples. Without labels it is `DeepSVDD`.

    Parameters
    ----------
    eta : float, default=1.0
        Weight of a labeled sample, relative to that of an unlabeled one.

    Notes
    -----
    The loss of a labeled anomaly is the inverse of its squared distance from the
    center. Labeled anomalies take no part in the center, the units of the score and the
    threshold, but in the pretraining.

    A warning is given if the labels are 0 and 1 alone, because elsewhere these often
    mean normal and anomalous.

    With digit 8 normal (MNIST, 500 images, one seed), 25 labeled threes raise the AUROC
    on threes from 0.900 to 0.931, and on the other eight digits from 0.935 to 0.950.

    Differs from the paper: Adam's learning rate is constant, and the default score is
    ``"whitened"``; the paper's is ``"latent"``.

    References
    ----------
    .. [1] Ruff et al., "Deep semi-supervised anomaly detection", ICLR 2020, arXiv
       1906.02694.

    Examples
    --------
    >>> import numpy as np
    >>> from featad.detectors import DeepSAD
    >>> X = np.random.default_rng(0).random((40, 1)) * np.ones(6)  # on a line
    >>> X[36:] *= [0, 1, 0, 1, 0, 1]
    >>> y = [0] * 36 + [-1] * 4
    >>> detector = DeepSAD(random_state=0).fit(X, y)
    >>> detector.predict([[0.5] * 6, [0, 1, 0, 1, 0, 1]])
    array([ 1, -1])
    """

    _entry = Entry(
        "deep-sad",
        "mapped far from normal samples, as labeled anomalies are",
        "Ruff et al. 2020",
        grid={"detector__eta": [0.5, 1.0, 2.0], "detector__latent_dim": [16, 32, 64]},
        takes=("features", "images"),
    )
    _parameter_constraints: dict = {
        **HypersphereDetector._parameter_constraints,
        "eta": [NON_NEGATIVE],
    }

    _uses_labels = True

    def __init__(
        self, latent_dim=32, *, eta=1.0, **options: Unpack[HypersphereOptions]
    ):
        super().__init__(latent_dim, **options)
        self.eta = eta

    def _pulled(self, distance: Tensor, t: Context) -> Tensor:
        pushed = torch.where(t.is_anomaly, 1 / (distance + TINY), distance)
        return torch.where(t.is_labeled, self.eta * pushed, pushed)
