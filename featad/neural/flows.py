"""Normalizing flows: invertible networks that know how they change a density."""

import math

import torch
from torch import Tensor, nn


class Flow(nn.Module):
    """An invertible map from vectors to a standard normal distribution.

    Each block rotates the space by a fixed random rotation, then scales and moves one
    half of the numbers by what a small network makes of the other half, and the other
    way around. The last layer scales and moves every number. A new flow is a rotation
    alone, so its density is the standard normal one until it is trained.

    Parameters
    ----------
    n_features : int
        Length of the vectors, at least 1. A single feature has no other half: it is
        only scaled and moved.

    n_blocks : int, default=4
        Number of blocks.

    width : int, default=128
        Units in each of the two hidden layers of a coupling's network.

    n_condition : int, default=0
        Length of a vector that comes with each sample and that the couplings may use,
        such as the sample's place.

    Notes
    -----
    A block turns u into v by v1 = u1 exp(a(s2)) + t2, where s2 and t2 are functions of
    u2, and v2 = u2 exp(a(s1)) + t1, where s1 and t1 are functions of v1. The bound
    a(s) = 2 c / pi atan(s / c), c = 1.9, keeps scales between 1/7 and 7. The logarithm
    of the determinant of the Jacobian is the sum of all a(s).

    References
    ----------
    .. [1] Dinh, Sohl-Dickstein and Bengio, "Density estimation using Real NVP", ICLR
       2017, arXiv 1605.08803.
    .. [2] Ardizzone et al., "Guided image generation with conditional invertible neural
       networks", 2019, arXiv 1907.02392: two-sided couplings, bounded scales.

    Examples
    --------
    >>> import torch
    >>> from featad.neural.flows import Flow
    >>> flow = Flow(3)
    >>> v, log_det = flow(torch.ones(2, 3))
    >>> flow.inverse(v).round(decimals=4)
    tensor([[1., 1., 1.],
            [1., 1., 1.]], grad_fn=<RoundBackward1>)
    """

    def __init__(
        self, n_features: int, *, n_blocks: int = 4, width: int = 128,
        n_condition: int = 0,
    ):  # fmt: skip
        super().__init__()
        if n_features == 1:
            n_blocks = 0
        self.blocks = nn.ModuleList(
            _Block(n_features, width, n_condition) for _ in range(n_blocks)
        )
        self.log_scale = nn.Parameter(torch.zeros(n_features))
        self.shift = nn.Parameter(torch.zeros(n_features))

    def forward(
        self, u: Tensor, condition: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return what becomes of vectors, and by how much their space grows.

        Parameters
        ----------
        u : Tensor of shape (n, n_features)

        condition : Tensor of shape (n, n_condition) or None, default=None

        Returns
        -------
        v : Tensor of shape (n, n_features)

        log_det : Tensor of shape (n,)
            Logarithm of the absolute determinant of the Jacobian of v by u.
        """
        log_det = self.log_scale.sum().expand(len(u))
        for block in self.blocks:
            u, grown = block(u, condition)
            log_det = log_det + grown
        return u * self.log_scale.exp() + self.shift, log_det

    def inverse(self, v: Tensor, condition: Tensor | None = None) -> Tensor:
        """Return the vectors (n, n_features) that ``forward`` turns into ``v``."""
        u = (v - self.shift) / self.log_scale.exp()
        for block in list(self.blocks)[::-1]:
            u = block.inverse(u, condition)  # type: ignore[operator]
        return u

    def nll(self, u: Tensor, condition: Tensor | None = None) -> Tensor:
        """Return the negative logarithm of the density at ``u``, shape (n,)."""
        v, log_det = self(u, condition)
        return standard_nll(v) - log_det


def standard_nll(v: Tensor) -> Tensor:
    """Return -log of the standard normal density of vectors (n, d), shape (n,)."""
    return 0.5 * (v.square().sum(dim=1) + v.shape[1] * math.log(2 * math.pi))


class _Block(nn.Module):
    """A rotation; then each half is scaled and moved by what the other one says."""

    rotation: Tensor

    _clamp = 1.9

    def __init__(self, n_features, width, n_condition):
        super().__init__()
        self.sizes = (n_features // 2, n_features - n_features // 2)
        first, second = self.sizes
        self.register_buffer("rotation", _rotation(n_features))
        self.of_second = _small_network(second + n_condition, width, 2 * first)
        self.of_first = _small_network(first + n_condition, width, 2 * second)

    def forward(self, u: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return v and the logarithm of the determinant."""
        u1, u2 = (u @ self.rotation).split(self.sizes, dim=1)
        first, move = self._change(self.of_second, u2, condition)
        v1 = u1 * first.exp() + move
        second, move = self._change(self.of_first, v1, condition)
        v2 = u2 * second.exp() + move
        return torch.cat([v1, v2], dim=1), first.sum(dim=1) + second.sum(dim=1)

    def inverse(self, v: Tensor, condition: Tensor | None) -> Tensor:
        """Return u."""
        v1, v2 = v.split(self.sizes, dim=1)
        log_scale, move = self._change(self.of_first, v1, condition)
        u2 = (v2 - move) / log_scale.exp()
        log_scale, move = self._change(self.of_second, u2, condition)
        turned = torch.cat([(v1 - move) / log_scale.exp(), u2], dim=1)
        return turned @ self.rotation.T

    def _change(self, network, half, condition):
        if condition is not None:
            half = torch.cat([half, condition], dim=1)
        raw, move = network(half).chunk(2, dim=1)
        bounded = 2 * self._clamp / math.pi * torch.atan(raw / self._clamp)
        return bounded, move


def _small_network(n_in, width, n_out):
    """Return two hidden layers and a last one that is zero: no change at first."""
    last = nn.Linear(width, n_out)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(
        nn.Linear(n_in, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), last
    )


def _rotation(n):
    return torch.linalg.qr(torch.randn(n, n)).Q
