"""Values of options: numbers within their limits, for argparse."""

import argparse
import re


def positive_int(text: str) -> int:
    """Return a whole number of at least 1, for argparse."""
    return _number(int, text, lambda value: value >= 1, "a whole number of at least 1")


def fold_count(text: str) -> int:
    """Return a number of folds, for argparse."""
    return _number(int, text, lambda value: value >= 2, "a whole number of at least 2")


def folds_or_share(text: str) -> int | float:
    """Return a number of folds, or a share between 0 and 1, for argparse."""
    number = _number(
        float,
        text,
        lambda value: 0 < value < 1 or (value >= 2 and value.is_integer()),
        "a number of folds, 2 or more, or a share between 0 and 1",
    )
    return number if number < 1 else int(number)


def seed(text: str) -> int:
    """Return a seed, for argparse."""
    limit = 2**32
    return _number(int, text, lambda v: 0 <= v < limit, "a number from 0 to 2^32 - 1")


def rate(text: str) -> float:
    """Return a share between 0 and 1, for argparse."""
    return _number(float, text, lambda v: 0 < v < 1, "a number between 0 and 1")


def positive_number(text: str) -> float:
    """Return a number above 0, for argparse."""
    return _number(
        float, text, lambda value: 0 < value < float("inf"), "a number above 0"
    )


def share(text: str) -> float:
    """Return a share from 0 to 1, ends included, for argparse."""
    return _number(float, text, lambda v: 0 <= v <= 1, "a number from 0 to 1")


def size_in_bytes(text: str) -> int:
    """Return a number of bytes, written such as 500MB or 20GB, for argparse."""
    match = re.fullmatch(r"(?i)([\d.]+)\s*([kmgt]?)b?", text.strip())
    number, unit = match.groups() if match else (text, "")
    expected = "a size such as 500MB or 20GB"
    size = _number(float, number, lambda value: 0 <= value < float("inf"), expected)
    return int(size * 1000 ** " kmgt".index(unit.lower() or " "))


def _number(kind, text, fits, expected):
    try:
        value = kind(text)
    except ValueError:
        value = None
    if value is None or not fits(value):
        raise argparse.ArgumentTypeError(f"expected {expected}, got {text!r}")
    return value
