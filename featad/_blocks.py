"""Large arrays some rows at a time, so that copies of them stay small."""

from collections.abc import Iterator

from sklearn.utils import gen_batches

BLOCK_VALUES = 2**22
"""How many numbers are copied or computed at a time: 32 MB in float64."""


def row_blocks(n_rows: int, row_size: int) -> Iterator[slice]:
    """Yield slices that cover the rows of an array in order.

    Parameters
    ----------
    n_rows : int
        Number of rows.

    row_size : int
        How many numbers are made of one row.

    Yields
    ------
    rows : slice

    Examples
    --------
    >>> list(row_blocks(3, 2**21))
    [slice(0, 2, None), slice(2, 3, None)]
    """
    yield from gen_batches(n_rows, max(1, BLOCK_VALUES // max(1, row_size)))
