"""Anomalous samples are hard to guess, part by part, from their surroundings."""

from collections.abc import Iterable, Iterator
from itertools import product
from numbers import Real
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from featad.entry import Entry
from featad.neural.detector import COUNT, NON_NEGATIVE, Context, Interval
from featad.neural.gan_losses import critic_loss, generator_loss
from featad.neural.networks import critic
from featad.neural.noise import random_boxes
from featad.neural.scores import mean_map, reduce_map, usual_error
from featad.neural.superpixels import superpixels
from featad.neural.tensors import spatial_size
from featad.neural.unet import UNetDetector, UNetOptions


class Inpainting(UNetDetector):
    """Score an image by how badly its parts are guessed from their surroundings.

    In training one random box of each image is blanked out, and a U-Net, which is also
    told where, fills it in. For scores a hole slides over the image; the heat of a
    pixel is the mean error of the guesses made for it.

    Parameters
    ----------
    hole : float in (0, 1), default=0.3
        Side of the sliding hole as a share of the image's side. It should cover an
        anomaly: next to a smaller hole some of the anomaly remains to guess from. Boxes
        in training have between three quarters and five quarters of that side.

    stride : float in (0, 1], default=0.5
        Step of the sliding hole, as a share of its side. Each position is one pass
        through the network.

    adversarial_weight : float, default=0.0
        Weight of the loss that makes filled images look real to a critic of patches,
        relative to the mean absolute error in the box; 0.001 to 0.01 sharpens. 0: no
        critic.

    normalize_map : bool, default=False
        Whether the heat of a pixel is divided by its mean over the training samples
        (plus the mean over all pixels), because edges that lie at the same place in
        every image are hard to guess. Meant for aligned images.

    n_segments : int or None, default=None
        Number of superpixels; each of their pixels gets their mean heat. 100 to 200 are
        usual. None: no superpixels.

    Notes
    -----
    Scoring takes as many passes as the hole has positions: 25 to 49 with the defaults.
    For small defects use ``score_by="top1%"``. Where normal images differ a lot, as
    digits of one kind do, little can be guessed: there the detector is no better than
    PCA, and its scores vary with the seed.

    In a table, holes are runs of neighboring features.

    Differs from the paper, of which only the abstract and the introduction were
    available: sizes and weights are our interpretation. The error of each pixel in a
    hole counts by itself, not as the mean of the hole.

    References
    ----------
    .. [1] Nguyen et al., "Unsupervised region-based anomaly detection in brain MRI with
       adversarial image inpainting", ISBI 2021, arXiv 2010.01942.

    Examples
    --------
    >>> import numpy as np
    >>> from featad.detectors import Inpainting
    >>> X = np.random.default_rng(0).random((40, 1)) * np.ones(6)  # on a line
    >>> detector = Inpainting(random_state=0).fit(X)
    >>> detector.predict([[0.5] * 6, [0, 1, 0, 1, 0, 1]])
    array([ 1, -1])
    """

    _entry = Entry(
        "inpainting",
        "hard to guess, part by part, from its surroundings",
        "Nguyen et al. 2021",
        grid={"detector__hole": [0.2, 0.3, 0.5]},
    )
    _parameter_constraints: dict = {
        **UNetDetector._parameter_constraints,
        "hole": [Interval(Real, 0, 1, closed="neither")],
        "stride": [Interval(Real, 0, 1, closed="right")],
        "adversarial_weight": [NON_NEGATIVE],
        "normalize_map": ["boolean"],
        "n_segments": [COUNT, None],
    }

    _defaults = {"depth": 2, "max_epochs": 60}
    _error = "l1"

    def __init__(
        self, *, hole=0.3, stride=0.5, adversarial_weight=0.0, normalize_map=False,
        n_segments=None,
        **options: Unpack[UNetOptions],
    ):  # fmt: skip
        super().__init__(**{**Inpainting._defaults, **options})
        self.hole = hole
        self.stride = stride
        self.adversarial_weight = adversarial_weight
        self.normalize_map = normalize_map
        self.n_segments = n_segments

    def _networks(self, shape: tuple[int, ...]) -> dict[str, nn.Module]:
        image = len(shape) == 3
        nets: dict[str, nn.Module] = {
            "unet": self._unet(
                shape,
                n_in=shape[0] + 1 if image else 2 * shape[0],
                skips="all",
                dilations=(2, 4),
            )
        }
        if self.adversarial_weight:
            nets["critic"] = critic(shape, width=self.width, patch=image)
        return nets

    def _losses(self, nets: dict, x: Tensor, t: Context) -> Iterator[tuple]:
        mask = random_boxes(x, (0.75 * self.hole, 1.25 * self.hole), t.rng)
        filled = self._filled(nets, x, mask)
        if self.adversarial_weight:
            logits = (nets["critic"](seen)[0] for seen in (x, filled.detach()))
            yield ("critic",), critic_loss(*logits)
        # outside the box the difference is 0
        n_blank = mask.flatten(1).sum(dim=1)
        loss = self._error_of(filled, x).flatten(1).sum(dim=1) / n_blank
        if self.adversarial_weight:
            looks = generator_loss(nets["critic"](filled)[0])
            loss = loss + self.adversarial_weight * looks
        yield ("unet",), loss

    def _filled(self, nets, x, mask):
        """Return samples as they are outside the mask, and as guessed inside it."""
        seen = torch.cat([x * ~mask, mask.to(x.dtype)], dim=1)
        return torch.where(mask, nets["unet"](seen), x)

    def _windows(self, x):
        """Return every place of the sliding hole: (m, 1, h, w) or (m, d)."""
        size = spatial_size(x)
        spans = []
        for length in size:
            side = max(1, round(length * self.hole))
            step = max(1, round(side * self.stride))
            starts = {*range(0, length - side, step), length - side}
            spans.append([slice(start, start + side) for start in sorted(starts)])
        masks = torch.zeros(
            [len(list(product(*spans))), *size], dtype=torch.bool, device=x.device
        )
        for mask, place in zip(masks, product(*spans), strict=True):
            mask[place] = True
        return masks[:, None] if x.ndim == 4 else masks

    def _heat(self, nets, x):
        """Return the mean error of the guesses for each pixel, (n, h, w) or (n, d)."""
        windows = self._windows(x)
        total = 0.0
        for some in windows.split(max(1, self.score_batch_size // len(x))):
            pairs = x.repeat(len(some), *[1] * (x.ndim - 1))
            filled = self._filled(nets, pairs, some.repeat_interleave(len(x), dim=0))
            error = self._error_of(filled, pairs)
            total = total + error.unflatten(0, (len(some), len(x))).sum(dim=0)
        n_guesses = windows.sum(dim=0)
        return total / n_guesses

    def _keep_key(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        return reduce_map(self._heat(nets, x), "mean")

    def _fit_statistics(
        self, nets: dict, batches: Iterable[Tensor], t: Context
    ) -> dict[str, Any]:
        if not self.normalize_map:
            return {}
        return {"mean_heat": mean_map(self._heat(nets, x) for x in batches)}

    def _map_of(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        heat = self._heat(nets, x)
        if self.normalize_map:
            heat = heat / usual_error(self._measured(t, "mean_heat", "normalize_map"))
        if self.n_segments is None or x.ndim == 2:
            return heat
        images = x.movedim(1, -1).cpu().numpy()
        means = [
            self._segment_means(one, image)
            for one, image in zip(heat, images, strict=True)
        ]
        return torch.stack(means)

    def _segment_means(self, heat, image):
        """Return the heat of one image, averaged over its superpixels."""
        segments = torch.from_numpy(superpixels(image, self.n_segments))
        segments = segments.to(heat.device).long().flatten()
        n_pixels = torch.bincount(segments).clamp_min(1)
        total = torch.zeros(len(n_pixels), dtype=heat.dtype, device=heat.device)
        total.index_add_(0, segments, heat.flatten())
        return (total / n_pixels)[segments].view_as(heat)
