"""Losses and maps: each returns one number per sample, which the caller reduces.

Trimming, weights and scores use the same functions. Samples are tensors of shape (n,
n_features) or (n, channels, height, width); maps have shape (n, height, width).
"""

import math
import operator
from collections.abc import Callable, Sequence
from functools import reduce

import torch
from torch import Tensor
from torch.nn import functional as F

from featad.neural.layers import blur

_SSIM_SIGMA = 1.5
_MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
TINY = 1e-6
"""Least value of what is divided by, or of what a logarithm is taken."""


def per_sample(x: Tensor) -> Tensor:
    """Return the mean of each sample.

    Parameters
    ----------
    x : Tensor of shape (n, ...)

    Returns
    -------
    means : Tensor of shape (n,)

    Examples
    --------
    >>> import torch
    >>> from featad.neural.losses import per_sample
    >>> per_sample(torch.tensor([[1.0, 3.0], [0.0, 0.0]]))
    tensor([2., 0.])
    """
    return x.flatten(1).mean(dim=1)


def squared_error(x: Tensor, target: Tensor) -> Tensor:
    """Return the mean squared difference of each sample, shape (n,)."""
    return per_sample((x - target) ** 2)


def squared_distance(codes: Tensor, center: Tensor) -> Tensor:
    """Return the squared Euclidean distance of each code from one point, shape (n,)."""
    return ((codes - center) ** 2).sum(dim=1)


def absolute_error(x: Tensor, target: Tensor) -> Tensor:
    """Return the mean absolute difference of each sample, shape (n,)."""
    return per_sample((x - target).abs())


def ssim_error(x: Tensor, target: Tensor) -> Tensor:
    """Return 1 - SSIM of each image in [0, 1], shape (n,), from 0 (equal) to 2.

    References
    ----------
    .. [1] Wang et al., "Image quality assessment: from error visibility to structural
       similarity", IEEE TIP 2004: Gaussian window, sigma 1.5, 11 pixels.
    """
    return 1 - per_sample(_ssim(x, target)[0])


def ms_ssim_error(x: Tensor, target: Tensor) -> Tensor:
    """Return 1 - multi-scale SSIM of each image in [0, 1], shape (n,).

    Notes
    -----
    Up to five scales, as many as leave 2 pixels a side; their weights are rescaled to
    sum to one. Terms below zero count as zero.

    References
    ----------
    .. [1] Wang, Simoncelli and Bovik, "Multi-scale structural similarity for image
       quality assessment", Asilomar 2003.
    """
    weights = _scale_weights(x.shape[2:])
    terms = []
    for level, weight in enumerate(weights):
        if level:
            x, target = F.avg_pool2d(x, 2), F.avg_pool2d(target, 2)
        similarity, contrast = _ssim(x, target)
        term = similarity if level == len(weights) - 1 else contrast
        terms.append(per_sample(term).clamp_min(TINY) ** weight)
    return 1 - reduce(operator.mul, terms)


RECONSTRUCTION: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mse": squared_error,
    "l1": absolute_error,
    "ssim": ssim_error,
    "ms-ssim": ms_ssim_error,
}
"""Reconstruction losses by the name a detector's ``loss`` gives them."""


def error_map(kind: str, x: Tensor, target: Tensor) -> Tensor:
    """Return the error of every pixel, a mean over the channels.

    Parameters
    ----------
    kind : {"mse", "l1", "ssim", "ms-ssim"}
        ``"ms-ssim"``: the mean of the scales' SSIM maps, enlarged to the input's size.

    x, target : Tensor of shape (n, channels, height, width) or (n, n_features)

    Returns
    -------
    error : Tensor of shape (n, height, width) or (n, n_features)
    """
    if kind in ("mse", "l1"):
        error = (x - target).abs() if kind == "l1" else (x - target) ** 2
        return error.mean(dim=1) if x.ndim == 4 else error
    n_scales = len(_scale_weights(x.shape[2:])) if kind == "ms-ssim" else 1
    size, errors = x.shape[2:], []
    for level in range(n_scales):
        if level:
            x, target = F.avg_pool2d(x, 2), F.avg_pool2d(target, 2)
        error = 1 - _ssim(x, target)[0].mean(dim=1, keepdim=True)
        errors.append(F.interpolate(error, size=size, mode="bilinear")[:, 0])
    return reduce(operator.add, errors) / n_scales


def gaussian_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return the KL divergence from N(0, 1), summed over the latent, shape (n,)."""
    kl = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance)
    return kl.flatten(1).sum(dim=1)


def gaussian_nll(x: Tensor, target: Tensor, log_sigma: Tensor | float) -> Tensor:
    """Return -log N(target; x, exp(log_sigma)^2), summed over pixels, shape (n,)."""
    log_sigma = torch.as_tensor(log_sigma, dtype=x.dtype, device=x.device)
    nll = 0.5 * ((x - target) / log_sigma.exp()) ** 2 + log_sigma
    return (nll + 0.5 * math.log(2 * math.pi)).flatten(1).sum(dim=1)


def total_variation(x: Tensor) -> Tensor:
    """Return the summed absolute differences of neighboring pixels, shape (n,)."""
    rows = (x[..., 1:, :] - x[..., :-1, :]).abs()
    columns = (x[..., :, 1:] - x[..., :, :-1]).abs()
    return rows.flatten(1).sum(dim=1) + columns.flatten(1).sum(dim=1)


def relative_perceptual_error(
    taps: Sequence[Tensor], target_taps: Sequence[Tensor]
) -> Tensor:
    """Return the L1 distance of feature maps over the L1 norm of the target's, (n,).

    Parameters
    ----------
    taps, target_taps : sequence of Tensor, each of shape (n, ...)
        Feature maps of the reconstruction and of the image, standardized by channel.

    Returns
    -------
    error : Tensor of shape (n,)
        Mean over the taps. No gradient goes through the denominators.

    References
    ----------
    .. [1] Shvetsova et al., "Anomaly detection in medical imaging with deep perceptual
       autoencoders", IEEE Access 2021.
    """
    errors = [
        absolute_error(tap, target) / per_sample(target.detach().abs()).clamp_min(TINY)
        for tap, target in zip(taps, target_taps, strict=True)
    ]
    return torch.stack(errors).mean(dim=0)


def abc_error(error: Tensor, sharpness: float = 10.0) -> Tensor:
    """Return -log(1 - exp(-sharpness * error)), which falls to 0 and never below.

    Parameters
    ----------
    error : Tensor of shape (n,)
        Reconstruction errors of labeled anomalies, means over pixels. Times the
        sharpness they count as 1e-6 at least.

    sharpness : float, default=10.0
        1: the paper's, for errors that are sums. A mean is below 1 in images: with 1
        every anomaly would be pulled at, however badly it is rebuilt; with 10 those
        that look normal are.

    Returns
    -------
    loss : Tensor of shape (n,)

    References
    ----------
    .. [1] Yamanaka et al., "Autoencoding binary classifiers for supervised anomaly
       detection", PRICAI 2019, arXiv 1903.10709.
    """
    error = (sharpness * error).clamp_min(TINY)
    return -torch.log(-torch.expm1(-error))


def hinge_error(error: Tensor, margin: float) -> Tensor:
    """Return max(0, margin - error): nothing is gained beyond the margin, (n,)."""
    return (margin - error).clamp_min(0)


def top_patches(error: Tensor, *, size: int, stride: int, n_patches: int) -> Tensor:
    """Return the mean of the largest patch-wise errors, with their gradient, (n,).

    Parameters
    ----------
    error : Tensor of shape (n, height, width)
        Errors of every pixel.

    size, stride : int
        Of the square patches, in pixels.

    n_patches : int
        How many count.
    """
    patches = F.avg_pool2d(error[:, None], min(size, *error.shape[1:]), stride)
    patches = patches.flatten(1)
    return patches.topk(min(n_patches, patches.shape[1]), dim=1).values.mean(dim=1)


def _ssim(x, target, c1=0.01**2, c2=0.03**2):
    """Return the SSIM map and its contrast part, (n, channels, height, width)."""

    def mean(image):
        return blur(image, _SSIM_SIGMA)

    mean_x, mean_y = mean(x), mean(target)
    variance_x = mean(x * x) - mean_x**2
    variance_y = mean(target * target) - mean_y**2
    covariance = mean(x * target) - mean_x * mean_y
    contrast = (2 * covariance + c2) / (variance_x + variance_y + c2)
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return luminance * contrast, contrast


def _scale_weights(size):
    n_scales = max(1, min(5, int(math.log2(max(1, min(size))))))
    weights = _MS_SSIM_WEIGHTS[:n_scales]
    return [weight / sum(weights) for weight in weights]
