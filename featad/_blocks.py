"""Large arrays some rows at a time, so that copies of them stay small."""

from collections.abc import Iterator

import numpy as np
from sklearn.utils import gen_batches

_VALUES = 2**22


def row_blocks(
    n_rows: int, row_size: int, n_values: int | None = None
) -> Iterator[slice]:
    """Yield slices that cover the rows of an array in order.

    Parameters
    ----------
    n_rows : int
        Number of rows.

    row_size : int
        How many numbers are copied or computed of one row.

    n_values : int or None, default=None
        How many of them at a time. Fewer stay in the cache of a processor. None: as
        many as take 32 MB in float64.

    Yields
    ------
    rows : slice

    Examples
    --------
    >>> list(row_blocks(3, 2**21))
    [slice(0, 2, None), slice(2, 3, None)]
    """
    yield from gen_batches(n_rows, max(1, (n_values or _VALUES) // max(1, row_size)))


def widened(X: np.ndarray) -> np.ndarray:
    """Return float16 as float32, by torch: NumPy takes four times as long.

    Every other array is returned as it is.
    """
    if X.dtype != np.float16:
        return X
    import torch  # slow to import

    return torch.from_numpy(np.ascontiguousarray(X)).float().numpy()
