"""Anomalous samples are corrected much before they resemble a reference set."""

from collections.abc import Iterator

import numpy as np
from torch import Tensor, nn
from typing_extensions import Unpack

from featad._validation import check_labels
from featad.entry import Entry
from featad.neural.context import WARM_UP
from featad.neural.detector import COUNT, NON_NEGATIVE, UNMEASURED, Context
from featad.neural.gan_losses import GAN_ADAM, WGAN_ADAM, wasserstein_critic_loss
from featad.neural.losses import absolute_error, per_sample
from featad.neural.networks import critic
from featad.neural.unet import UNetDetector, UNetOptions


class ASCNet(UNetDetector):
    """Score an image by the residual removed before it resembles reference images.

    For two training sets: a reference set known to be normal, and a mixed one that
    holds unlabeled anomalies. A U-Net splits an image into a cleaned image and a
    residual that add up to it. A critic that distinguishes reference images from
    cleaned mixed ones drives what never occurs in the reference set into the residual,
    which is kept sparse.

    Parameters
    ----------
    sparsity : float, default=0.35
        Weight of the residual's mean absolute value, times the root of the number of
        values in a sample, relative to the critic's opinion of the cleaned image. Where
        the critic is as steep as its gradient penalty demands, removing something pays
        if it covers less than 1 / sparsity^2 of the image.

    n_critic : int, default=3
        Critic steps for each U-Net step.

    gp_weight : float, default=10.0
        Weight of the critic's gradient penalty.

    balance : float in (0, 1) or None, default=0.5
        Exact share of mixed samples in every batch. None: as they come.

    early_stopping : None, default=None
        There is none: the U-Net removes least from held-out reference samples before it
        has learned anything.

    Notes
    -----
    In ``fit(X, y)`` the label 1 marks the reference set; 0 (unlabeled) and -1 both mark
    the mixed set. ``contamination`` is a share of the reference set. The sets should
    differ only by the anomalies: whatever else is more frequent in the mixed set, such
    as another camera, is removed too. The maps show it.

    The map is the absolute value of the residual, which may be negative: what is too
    dark is made brighter. The regions the critic judges grow with ``depth``: 2 suits
    spots in a texture, 3 the shape of a small image as a whole.

    Differs from the paper: a second decoder, its overlap with the first, and the error
    of their sum are not needed, because the residual is the rest of the image; it is
    kept small instead. The critic is that of WGAN-GP. It learns alone in the first
    fifth of the training and then together with the U-Net. In the paper it is reset in
    each of several cycles and is frozen while the U-Net learns; in our trials the
    images then diverged or were forgotten. The strangeness is not the share of pixels
    beyond a valley of the histogram, because such a valley need not exist.

    References
    ----------
    .. [1] Dey and Hong, "ASC-Net: adversarial-based selective network for unsupervised
       anomaly segmentation", MICCAI 2021, arXiv 2103.03664.
    .. [2] Baumgartner et al., "Visual feature attribution using Wasserstein GANs", CVPR
       2018, arXiv 1711.08998: the sparse change between two sets of images.

    Examples
    --------
    >>> import numpy as np
    >>> from featad.detectors import ASCNet
    >>> rng = np.random.default_rng(0)
    >>> reference, mixed = rng.normal(size=(2, 60, 4))
    >>> mixed[:12, 0] += 6  # a fifth of them, in the first feature
    >>> X, y = np.concatenate([reference, mixed]), np.repeat([1, 0], 60)
    >>> detector = ASCNet(max_epochs=10, lr=0.003, random_state=0).fit(X, y)
    >>> detector.score_samples([[0, 0, 0, 0], [6, 0, 0, 0]]).argsort()
    array([1, 0])
    """

    _entry = Entry(
        None,
        "corrected much before it resembles a reference set",
        "Dey and Hong 2021",
    )
    _parameter_constraints: dict = {
        **UNetDetector._parameter_constraints,
        "sparsity": [NON_NEGATIVE],
        "n_critic": [COUNT],
        "gp_weight": [NON_NEGATIVE],
        "early_stopping": [UNMEASURED],
    }

    _defaults = {"batch_size": 32, "max_epochs": 100, "balance": 0.5}
    _optimizers = {"unet": GAN_ADAM, "critic": WGAN_ADAM}
    _error = "l1"
    _uses_labels = True
    _needs_anomalies = True  # a mixed set

    def __init__(
        self, *, sparsity=0.35, n_critic=3, gp_weight=10.0,
        **options: Unpack[UNetOptions],
    ):  # fmt: skip
        super().__init__(**{**ASCNet._defaults, **options})
        self.sparsity = sparsity
        self.n_critic = n_critic
        self.gp_weight = gp_weight

    def _training_labels(self, y, n_samples):
        """Return 1 for the reference set and -1 for the mixed one."""
        labels = np.zeros(n_samples) if y is None else y
        labels = check_labels(labels, n_samples=n_samples, allow_unlabeled=True)
        n_reference = (labels == 1).sum()
        if not 0 < n_reference < n_samples:
            raise ValueError(
                "ASCNet learns from two sets: y must hold 1 for the reference set, "
                "known to be normal, and 0 for the mixed set, but "
                f"{n_reference} of {n_samples} labels are 1."
            )
        return np.where(labels == 1, 1, -1)

    def _networks(self, shape: tuple[int, ...]) -> dict[str, nn.Module]:
        image = len(shape) == 3
        output = "tanh" if self._in_unit_range else "linear"
        size = {"width": 2 * self.width, "depth": self.depth}
        return {
            "unet": self._unet(shape, skips="all", output=output),
            "critic": critic(shape, patch=image, **size),
        }

    def _losses(self, nets: dict, x: Tensor, t: Context) -> Iterator[tuple]:
        mixed = t.is_anomaly
        fake, real = x[mixed], x[~mixed]
        n_pairs = min(len(fake), len(real))
        if n_pairs:  # none in batches of one
            fake = self._rebuilt(nets, fake[:n_pairs], t).detach()
            for _ in range(self.n_critic):
                loss = wasserstein_critic_loss(
                    lambda seen: _judged(nets, seen), real[:n_pairs], fake, t.rng,
                    gp_weight=self.gp_weight,
                )  # fmt: skip
                yield ("critic",), loss
        if t.progress < WARM_UP:  # the critic learns alone
            return
        first = self._rebuilt(nets, x, t)
        looks = x.new_zeros(len(x))
        looks[mixed] = _judged(nets, first[mixed])
        weight = self.sparsity * x[0].numel() ** 0.5
        yield ("unet",), weight * absolute_error(first, x) - looks

    def _keep_key(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        return per_sample(self._map_of(nets, x, t))

    def _rebuilt(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        return x - nets["unet"](x)


def _judged(nets, x):
    """Return the sum of the critic's logits over all places, (n,)."""
    logit = nets["critic"](x)[0]
    return logit.sum(dim=1) if logit.ndim > 1 else logit
