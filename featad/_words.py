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


def p_in_words(p: float) -> str:
    """Return a p-value with its sign.

    Examples
    --------
    >>> p_in_words(0.0321), p_in_words(1e-9)
    ('p = 0.032', 'p < 0.001')
    """
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def bytes_in_words(n_bytes: float) -> str:
    """Return a number of bytes in the unit that suits it.

    Examples
    --------
    >>> [bytes_in_words(n) for n in (0, 40, 12_345, 2_500_000, 20e9)]
    ['0 bytes', '40 bytes', '12.3 kB', '2.5 MB', '20 GB']
    """
    for size, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if n_bytes >= size:
            return f"{float(f'{n_bytes / size:.3g}'):g} {unit}"
    return f"{n_bytes:.0f} bytes"
