"""Numbers as people read them."""


def percent(share: float, digits: int = 2) -> str:
    """Return a share as a percentage.

    Parameters
    ----------
    share : float
        Usually between 0 and 1.

    digits : int, default=2
        Number of significant digits.

    Examples
    --------
    >>> [percent(share) for share in (0.01, 0.036, 0.00025, 0.999)]
    ['1 %', '3.6 %', '0.025 %', '100 %']
    >>> percent(0.9625, digits=3)
    '96.2 %'
    """
    return f"{float(f'{100 * share:.{digits}g}'):.{digits + 2}g} %"
