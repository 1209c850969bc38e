"""Base of the detectors whose networks go between samples and codes."""

from numbers import Integral
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from featad.neural.context import Context
from featad.neural.detector import COUNT, Interval, TorchDetector
from featad.neural.networks import critic, decoder, encoder
from featad.neural.options import TorchOptions


class LatentOptions(TorchOptions, total=False):
    """What ``**options`` of a ``LatentDetector`` may hold."""

    width: int
    depth: int | None
    dense: bool


class LatentDetector(TorchDetector):
    """Base of detectors that encode samples, or generate them from noise.

    A subclass builds its networks with ``_encoder(shape)``, ``_decoder(shape)`` and
    ``_critic(shape)``, which know the parameters below, and names them by what they do:

    - ``"encoder"``: from a sample to its code;
    - ``"decoder"``: from a code back to the sample, trained to invert an encoder;
    - ``"generator"``: from noise to a sample, trained to deceive a critic;
    - ``"critic"``: from a sample to a logit, high = real.

    Parameters
    ----------
    latent_dim : int, default=16
        Length of a sample's code, and of the noise that samples are generated from.

    width : int, default=32
        Channels of the first convolution; a dense layer has 8 times as many units.

    depth : int or None, default=None
        Number of halvings of an image, or of hidden layers. 0: one linear map. None: as
        many as leave about 4 pixels a side, or 2 hidden layers.

    dense : bool, default=False
        Whether images go through dense layers instead of convolutions. Dense layers
        take a tenth of the time on a CPU; objects that may lie anywhere in an image
        need convolutions.
    """

    _parameter_constraints: dict = {
        **TorchDetector._parameter_constraints,
        "latent_dim": [COUNT],
        "width": [COUNT],
        "depth": [Interval(Integral, 0, None, closed="left"), None],
        "dense": ["boolean"],
    }

    def __init__(
        self,
        latent_dim=16,
        *,
        width=32,
        depth=None,
        dense=False,
        **options: Unpack[TorchOptions],
    ):
        super().__init__(**options)
        self.latent_dim = latent_dim
        self.width = width
        self.depth = depth
        self.dense = dense

    def _encoder(
        self, shape: tuple[int, ...], n_out: int | None = None, **options: Any
    ) -> nn.Sequential:
        n_out = self.latent_dim if n_out is None else n_out
        return encoder(shape, n_out, **self._size, **options)

    def _decoder(self, shape: tuple[int, ...], **options: Any) -> nn.Sequential:
        output = "sigmoid" if self._in_unit_range and self.depth != 0 else "linear"
        return decoder(shape, self.latent_dim, output=output, **self._size, **options)

    def _critic(self, shape: tuple[int, ...], **options: Any) -> nn.Module:
        return critic(shape, **self._size, **options)

    def _random_codes(self, n: int, t: Context) -> Tensor:
        """Return noise of shape (n, latent_dim)."""
        shape = (n, self.latent_dim)
        return torch.randn(shape, generator=t.rng, device=t.rng.device)

    @property
    def _size(self) -> dict[str, Any]:
        return {"width": self.width, "depth": self.depth, "dense": self.dense}
