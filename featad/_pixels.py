"""Pixels by themselves: which value is white, and what is no array of pixels."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

_WHITES = (1, 255, 1023, 4095, 16383)  # of the depths that 16-bit files carry


def white_of(dtype: DTypeLike) -> float | None:
    """Return the value that is white in pixels of a type.

    Parameters
    ----------
    dtype : dtype

    Returns
    -------
    white : float or None
        1 for bool and floats, 255 for uint8, 65535 for uint16. Other integers have no
        usual range: None.
    """
    dtype = np.dtype(dtype)
    if dtype.kind in "bf":
        return 1
    if dtype.kind == "u" and dtype.itemsize <= 2:
        return np.iinfo(dtype).max
    return None


def white_in_use(peak: float) -> int | None:
    """Return the white of the depth that 16-bit pixels seem to have.

    Parameters
    ----------
    peak : float
        Their largest value.

    Returns
    -------
    white : int or None
        1, 255, 1023, 4095 or 16383; None if all pixels are black, or if 15 or 16 bits
        are in use.

    Examples
    --------
    >>> white_in_use(3987), white_in_use(60000)
    (4095, None)
    """
    return next((white for white in _WHITES if 0 < peak <= white), None)


def looks_channels_first(shape: tuple[int, ...]) -> bool:
    """Whether samples of a shape seem to be (channels, height, width)."""
    return len(shape) == 3 and shape[0] in (1, 3) and min(shape[1:]) > 4


def torch_hint(X: Any) -> str:
    """Return how to pass what torch made, as a sentence; empty for anything else.

    Parameters
    ----------
    X : object
        A tensor, a Dataset, a DataLoader, or not.
    """
    homes = [cls.__module__ for cls in type(X).__mro__]
    if "torch" in homes or "torch._tensor" in homes:
        shape = tuple(X.shape)
        axes = {3: "1, 2, 0", 4: "0, 2, 3, 1"}.get(len(shape))
        if axes and looks_channels_first(shape[-3:]):
            batch = "[None]" if len(shape) == 3 else ""
            return f" Pass X.permute({axes}).cpu().numpy(){batch}: channels come last."
        return " Pass X.cpu().numpy()."
    if any(home.startswith("torch.utils.data") for home in homes):
        batches = any(cls.__name__ == "DataLoader" for cls in type(X).__mro__)
        parts, axes = ("batches", "0, 2, 3, 1") if batches else ("items", "1, 2, 0")
        join = "np.concatenate" if batches else "np.stack"
        return (
            f" Pass the paths of its images; or, if its {parts} are tuples that begin "
            f"with a tensor, {join}([x.permute({axes}).numpy() for x, *_ in X])."
        )
    return ""
