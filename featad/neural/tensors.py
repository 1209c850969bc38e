"""Samples as numpy holds them, and as networks see them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

_ROUNDING = 1e-7  # float32: a deviation below this share of the mean is rounding


@dataclass(frozen=True)
class Scaling:
    """How samples become what networks see: scaled float32 tensors, channels first.

    Tables are standardized feature by feature. Images in [0, 1] are left as they are;
    images with other values are standardized channel by channel.

    Attributes
    ----------
    sample_shape : tuple of int
        (n_features,), (height, width) or (height, width, channels).

    mean : ndarray of shape (n_features,) or (channels,), float64
        What is subtracted from samples; [0] for images in [0, 1].

    scale : ndarray of shape (n_features,) or (channels,), float64
        What the difference is divided by; [1] for images in [0, 1].

    Examples
    --------
    >>> import numpy as np
    >>> from featad.neural.tensors import Scaling
    >>> scaling = Scaling.fit(np.zeros((5, 8, 6, 3)))
    >>> scaling.in_unit_range, scaling.network_shape
    (True, (3, 8, 6))
    >>> Scaling.fit(np.array([[1.0], [3.0]])).to_tensor(np.array([[5.0]]))
    tensor([[3.]])
    """

    sample_shape: tuple[int, ...]
    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def fit(cls, X: np.ndarray) -> "Scaling":
        """Learn the scaling of these samples.

        Parameters
        ----------
        X : ndarray of shape (n, n_features), (n, h, w) or (n, h, w, channels)

        Returns
        -------
        scaling : Scaling
            The scale is 1 where the deviation is only rounding.
        """
        if X.ndim > 2 and X.min() >= 0 and X.max() <= 1:
            return cls(X.shape[1:], np.zeros(1), np.ones(1))
        axes = {2: 0, 3: None, 4: (0, 1, 2)}[X.ndim]
        mean = np.atleast_1d(X.mean(axis=axes, dtype=np.float64))
        scale = np.atleast_1d(X.std(axis=axes, dtype=np.float64))
        scale[scale <= _ROUNDING * np.abs(mean)] = 1
        return cls(X.shape[1:], mean, scale)

    @property
    def in_unit_range(self) -> bool:
        """Whether networks see images in [0, 1] rather than standardized values."""
        unscaled = (self.mean == 0).all() and (self.scale == 1).all()
        return len(self.sample_shape) > 1 and bool(unscaled)

    @property
    def network_shape(self) -> tuple[int, ...]:
        """Shape of one sample as networks see it: (n_features,) or (c, h, w)."""
        if len(self.sample_shape) == 1:
            return self.sample_shape
        height, width, *channels = self.sample_shape
        return (*(channels or [1]), height, width)

    def to_tensor(self, X: np.ndarray) -> Tensor:
        """Return samples as networks see them.

        Parameters
        ----------
        X : ndarray of shape (n, *sample_shape)

        Returns
        -------
        x : Tensor of shape (n, *network_shape), float32
        """
        if not self.in_unit_range:
            X = (X - self.mean) / self.scale
        with np.errstate(over="ignore"):  # an infinite score is refused later
            X = X.astype(np.float32)
        if X.ndim == 3:
            X = X[..., None]
        if X.ndim == 4:
            X = X.transpose(0, 3, 1, 2)
        return torch.from_numpy(np.array(X, order="C"))

    def to_samples(self, x: np.ndarray) -> np.ndarray:
        """Return what networks make as samples: the reverse of `to_tensor`.

        Parameters
        ----------
        x : ndarray of shape (n, *network_shape)

        Returns
        -------
        X : ndarray of shape (n, *sample_shape), float32
        """
        if x.ndim == 4:
            x = x.transpose(0, 2, 3, 1)
        X = x.reshape(len(x), *self.sample_shape)
        return (X * self.scale + self.mean).astype(np.float32)


class Batches:
    """Samples batch by batch, as often as they are gone through.

    Parameters
    ----------
    load : callable
        From places in the training set to a tensor.

    index : ndarray of int
        The places.

    size : int
        Samples in a batch.
    """

    def __init__(
        self, load: Callable[[np.ndarray], Tensor], index: np.ndarray, size: int
    ):
        self._load, self._index, self._size = load, index, size

    def __iter__(self) -> Iterator[Tensor]:
        for start in range(0, len(self._index), self._size):
            yield self._load(self._index[start : start + self._size])

    def __len__(self) -> int:
        return -(-len(self._index) // self._size)


def to_array(value: Any) -> Any:
    """Return a tensor as an array; anything else as it is."""
    return value.detach().cpu().numpy() if isinstance(value, Tensor) else value


def to_device(value: Any, device: torch.device) -> Any:
    """Return an array as a tensor on a device; anything else as it is."""
    return (
        torch.from_numpy(value).to(device) if isinstance(value, np.ndarray) else value
    )


def spatial_size(x: Tensor) -> tuple[int, ...]:
    """Return (height, width) of a batch of images, (n_features,) of a table."""
    return tuple(x.shape[2:] if x.ndim == 4 else x.shape[1:])
