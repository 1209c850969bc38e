"""What generators and critics minimize: one number per sample, except dispersion."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from featad.neural.losses import TINY

GAN_ADAM = {"betas": (0.5, 0.999)}
"""Adam of generators and critics, as in DCGAN (Radford et al., 2016)."""

WGAN_ADAM = {"betas": (0.5, 0.9)}
"""Adam of networks that learn with a gradient penalty."""

WGAN_DRIFT = 1e-3
"""Weight of a critic's squared logits, which keeps them near 0."""


def adversarial(logit: Tensor, *, real: bool, kind: str = "bce") -> Tensor:
    """Return how far a critic's logits are from what the samples should pass for.

    Parameters
    ----------
    logit : Tensor of shape (n,) or (n, n_places)
        High = real.

    real : bool
        Whether the samples should pass for real.

    kind : {"bce", "ls", "wgan", "hinge"}, default="bce"
        Cross-entropy, least squares, Wasserstein (no bound), or hinge, which is for
        critics only.

    Returns
    -------
    loss : Tensor of shape (n,)
    """
    sign = 1.0 if real else -1.0
    if kind == "bce":
        loss = F.softplus(-sign * logit)
    elif kind == "ls":
        loss = (logit - float(real)) ** 2
    elif kind == "hinge":
        loss = F.relu(1 - sign * logit)
    else:
        loss = -sign * logit
    return loss.reshape(len(loss), -1).mean(dim=1)


def critic_loss(real: Tensor, fake: Tensor, kind: str = "bce") -> Tensor:
    """Return what a critic minimizes, given its logits of real and generated samples.

    Parameters
    ----------
    real, fake : Tensor of shape (n,) or (n, n_places)

    kind : {"bce", "ls", "wgan", "hinge"}, default="bce"
        As for :func:`adversarial`.

    Returns
    -------
    loss : Tensor of shape (n,)
    """
    return adversarial(real, real=True, kind=kind) + adversarial(
        fake, real=False, kind=kind
    )


def generator_loss(fake: Tensor, kind: str = "bce") -> Tensor:
    """Return what a generator minimizes, given a critic's logits of its samples.

    Parameters
    ----------
    fake : Tensor of shape (n,) or (n, n_places)

    kind : {"bce", "ls", "wgan", "hinge"}, default="bce"
        What the critic minimizes. With ``"hinge"`` it is the negated logit, which has a
        slope everywhere; the hinge has none once the critic is deceived.

    Returns
    -------
    loss : Tensor of shape (n,)

    References
    ----------
    .. [1] Lim and Ye, "Geometric GAN", 2017, arXiv 1705.02894: the hinge.
    """
    return adversarial(fake, real=True, kind="wgan" if kind == "hinge" else kind)


def gradient_penalty(
    critic: Callable[[Tensor], Tensor],
    real: Tensor,
    fake: Tensor,
    rng: torch.Generator | None = None,
) -> Tensor:
    """Return (|gradient of the critic| - 1)^2 between real and generated samples.

    Parameters
    ----------
    critic : callable
        From samples to logits of shape (n,); no sample's may depend on another's, as
        with batch normalization.

    real, fake : Tensor of shape (n, ...)
        Each pair is mixed by a share of its own, uniform in [0, 1].

    rng : torch.Generator or None, default=None
        Draws the shares; on the device of the samples.

    Returns
    -------
    penalty : Tensor of shape (n,)
        With a gradient for the critic's weights. Works inside ``torch.no_grad``.

    References
    ----------
    .. [1] Gulrajani et al., "Improved training of Wasserstein GANs", NeurIPS 2017,
       arXiv 1704.00028.

    Examples
    --------
    >>> import torch
    >>> from featad.neural.gan_losses import gradient_penalty
    >>> w = torch.tensor([3.0, 4.0])
    >>> gradient_penalty(lambda x: x @ w, torch.zeros(1, 2), torch.ones(1, 2))
    tensor([16.])
    """
    share = torch.rand(len(real), *[1] * (real.ndim - 1), generator=rng,
                       device=real.device)  # fmt: skip
    with torch.enable_grad():
        mixed = torch.lerp(fake.detach(), real.detach(), share).requires_grad_()
        (slope,) = torch.autograd.grad(critic(mixed).sum(), mixed, create_graph=True)
        return (slope.flatten(1).norm(dim=1) - 1) ** 2


def wasserstein_critic_loss(
    critic: Callable[[Tensor], Tensor],
    real: Tensor,
    fake: Tensor,
    rng: torch.Generator | None = None,
    *,
    gp_weight: float,
    drift: float = 0.0,
) -> Tensor:
    """Return what a critic of WGAN-GP minimizes, (n,); no gradient reaches ``fake``.

    Parameters
    ----------
    critic : callable
        (n, ...) to n logits.

    real, fake : Tensor of shape (n, ...)

    rng : torch.Generator or None, default=None
        Draws the places of the gradient penalty.

    gp_weight : float
        Weight of :func:`gradient_penalty`.

    drift : float, default=0.0
        Weight of the squared logits of real samples, which keeps logits near 0.

    Returns
    -------
    loss : Tensor of shape (n,)

    References
    ----------
    .. [1] Gulrajani et al., "Improved training of Wasserstein GANs", NIPS 2017,
       arXiv 1704.00028.
    """
    logit = critic(real)
    loss = critic_loss(logit, critic(fake.detach()), "wgan")
    loss = loss + gp_weight * gradient_penalty(critic, real, fake, rng)
    return loss + drift * logit**2


def dispersion(x: Tensor) -> Tensor:
    """Return 1 over the mean distance of the samples to their mean, a scalar.

    Parameters
    ----------
    x : Tensor of shape (n, ...)
        Generated samples, two at least; a distance is the root of the mean square.

    Returns
    -------
    loss : Tensor of shape ()
        Large where all are alike; distances below 1e-6 count as 1e-6.

    References
    ----------
    .. [1] Ngo et al., "Fence GAN: towards better anomaly detection", ICTAI 2019,
       arXiv 1904.01209.
    """
    distance = (
        ((x - x.mean(dim=0)) ** 2).flatten(1).mean(dim=1).clamp_min(TINY**2).sqrt()
    )
    return 1 / distance.mean()
