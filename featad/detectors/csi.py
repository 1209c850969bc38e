"""Anomalous samples are like no normal one to a network that knows shifted copies."""

import warnings
from collections.abc import Iterable, Iterator
from numbers import Integral
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import Unpack

from featad.entry import Entry
from featad.neural.contrast import (
    ContrastiveDetector,
    ContrastiveOptions,
    fit_directions,
    squared_distances,
)
from featad.neural.detector import Context, Interval, StrOptions
from featad.neural.losses import TINY
from featad.neural.noise import generator
from featad.neural.views import SHIFTS, fixed_crops, shifted

_LEAST_LOGIT = 0.1  # what logits are divided by, at least


class CSI(ContrastiveDetector):
    """Score a sample by its likeness to normal samples, and to none of their copies.

    A network learns which two views show the same image, as in `SSD`. Copies of the
    images that are shifted, such as turned ones, count as other images, and a second
    head names the shift. So the network learns what normal images look like from what
    they do not.

    Parameters
    ----------
    shift : {"rotate", "cutperm", "noise", "blur"} or None, default="cutperm"
        How copies are changed. It must make normal images look anomalous.
        ``"rotate"``, by quarter turns, is for subjects with one way up. ``"cutperm"``
        exchanges halves and quarters of the image, also for subjects that look alike
        when turned, such as screws from above or the digits 0 and 8. Textures stay what
        they are when turned or cut: for them take ``"blur"`` or ``"noise"``. None: no
        copies.

    n_crops : int, default=0
        Number of crops over which the features of a sample are averaged when it is
        scored. They are at the same places in all samples. 0: the whole image alone.

    score_by : {"mahalanobis", "bank"}, default="mahalanobis"
        By the squared Mahalanobis distance of `SSD`, averaged over shifts. Or by the
        paper's ``"bank"``: the similarity to the nearest training sample times the
        length of the embedding, plus the logit of the right shift, averaged over
        shifts. The default is the distance because it finds more on small images.

    Attributes
    ----------
    statistics_ : dict of str to object
        ``"shift_accuracy"``: share of the shifted training samples whose shift the
        network names. ``fit`` warns if it is low.

    Notes
    -----
    Each part of the bank's score is divided by its mean over the training samples, for
    each shift by itself; a mean logit counts 0.1 at least.

    Images are mirrored before they are shifted, all other views are drawn after it.
    Without copies the loss is that of SimCLR, and `SSD`.

    Differs from the paper: the network is small and Adam trains it. The paper scores by
    the bank and 10 crops of each image.

    References
    ----------
    .. [1] Tack, Mo, Jeong and Shin, "CSI: novelty detection via contrastive learning on
       distributionally shifted instances", NeurIPS 2020, arXiv 2007.08176.

    Examples
    --------
    >>> import numpy as np
    >>> from featad.detectors import CSI
    >>> X = np.zeros((32, 8, 8))
    >>> X[:, :3] = np.random.default_rng(0).uniform(0.5, 1, (32, 3, 8))  # light above
    >>> detector = CSI(width=4, max_epochs=10, random_state=0).fit(X)
    >>> detector.score_samples([X[0], X[0, ::-1]]).argsort()
    array([1, 0])
    """

    _entry = Entry(
        "csi",
        "like no normal image to a network that also knows shifted copies",
        "Tack et al. 2020",
        grid={
            "detector__shift": ["cutperm", "rotate", "blur"],
            "detector__score_by": ["mahalanobis", "bank"],
        },
        takes=("images",),
    )
    _parameter_constraints: dict = {
        **ContrastiveDetector._parameter_constraints,
        "shift": [StrOptions(set(SHIFTS)), None],
        "n_crops": [Interval(Integral, 0, None, closed="left")],
        "score_by": [StrOptions({"mahalanobis", "bank"})],
    }

    _defaults = {"width": 16, "max_epochs": 10, "batch_size": 32, "lr": 2e-3}

    def __init__(
        self, latent_dim=128, *, shift="cutperm", n_crops=0, score_by="mahalanobis",
        **options: Unpack[ContrastiveOptions],
    ):  # fmt: skip
        super().__init__(latent_dim, **{**CSI._defaults, **options})
        self.shift = shift
        self.n_crops = n_crops
        self.score_by = score_by

    @property
    def _n_shifts(self) -> int:
        return SHIFTS.get(self.shift, 1)

    def _networks(self, shape: tuple[int, ...]) -> dict[str, nn.Module]:
        nets = super()._networks(shape)
        n_features = next(nets["head"].parameters()).shape[1]
        return {**nets, "shift_head": nn.Linear(n_features, self._n_shifts)}

    def _losses(self, nets: dict, x: Tensor, t: Context) -> Iterator[tuple]:
        yield tuple(nets), self._keep_key(nets, x, t)

    def _keep_key(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        n, views = self._n_shifts, []
        first = [name for name in self.views if name == "flip"]
        later = [name for name in self.views if name != "flip"]
        for _ in range(2):
            copies = shifted(self._views(x, t, first), self.shift, t.rng)
            views.append(self._views(copies.flatten(0, 1), t, later))
        loss, features = self._contrasted(nets, *views)
        loss = loss.view(n, -1).mean(dim=0)
        if self.shift is None:
            return loss
        logits = nets["shift_head"](features)
        shift = torch.arange(n, device=x.device).repeat_interleave(len(x)).repeat(2)
        named = F.cross_entropy(logits, shift, reduction="none")
        return loss + named.view(2 * n, -1).mean(dim=0)

    def _described(self, nets, x):
        """Return features, embedding and logits of each shift, (n_shifts, n, ...)."""
        rng = generator(self.seed_, x.device)
        found = []
        for crop in fixed_crops(x, self.n_crops, rng) if self.n_crops else [x]:
            copies = shifted(crop, self.shift, rng, alike=True).flatten(0, 1)
            features = nets["encoder"](copies)
            heads = nets["head"](features), nets["shift_head"](features)
            found.append((features, *heads))
        means = [torch.stack(parts).mean(dim=0) for parts in zip(*found, strict=True)]
        return [part.view(self._n_shifts, len(x), -1) for part in means]

    def _fit_statistics(
        self, nets: dict, batches: Iterable[Tensor], t: Context
    ) -> dict[str, Any]:
        parts = zip(*(self._described(nets, x) for x in batches), strict=True)
        features, embedded, logits = (torch.cat(part, dim=1) for part in parts)
        shift = torch.arange(self._n_shifts, device=logits.device)[:, None]
        accuracy = float((logits.argmax(dim=2) == shift).float().mean())
        found: dict[str, Any] = {"shift_accuracy": accuracy}
        self._warn_of_shift(accuracy)
        if self.score_by == "mahalanobis":
            return {**found, "directions": [fit_directions(one) for one in features]}
        own = logits.diagonal(dim1=0, dim2=2)  # (n, n_shifts)
        return {
            **found,
            "bank": F.normalize(embedded, dim=2),
            "length": embedded.norm(dim=2).mean(dim=1).clamp_min(TINY),
            "logit": own.mean(dim=0).clamp_min(_LEAST_LOGIT),
        }

    def _warn_of_shift(self, accuracy):
        if self.max_epochs and accuracy < (1 + 1 / self._n_shifts) / 2:
            others = ", ".join(repr(name) for name in SHIFTS if name != self.shift)
            warnings.warn(
                f"CSI names the shift of only {accuracy:.0%} of the training samples "
                f"(by chance: {1 / self._n_shifts:.0%}), so normal samples look alike "
                f"under shift={self.shift!r}, or max_epochs={self.max_epochs} is too "
                f"few. Try {others}, or more epochs.",
                UserWarning,
            )

    def _strangeness_of(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        features, embedded, logits = self._described(nets, x)
        if self.score_by == "mahalanobis":
            found = self._measured(t, "directions", "score_by")
            pairs = zip(found, features, strict=True)
            return torch.stack([squared_distances(*pair) for pair in pairs]).mean(dim=0)
        bank = self._measured(t, "bank", "score_by")
        likeness = [
            (one @ known.T).amax(dim=1) / length  # length of the embedding * cosine
            for one, known, length in zip(
                embedded, bank, t.statistics["length"], strict=True
            )
        ]
        normal = torch.stack(likeness, dim=1)
        if self.shift is not None:
            own = logits.diagonal(dim1=0, dim2=2)
            normal = normal + own / t.statistics["logit"]
        return -normal.mean(dim=1)
