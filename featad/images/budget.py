"""How many pixels the threads of a run decode at a time: memory has a bound."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Condition

PIXELS = 2**27
"""Pixels that are decoded at a time: about 1 GB of 8-bit colors."""


class PixelBudget:
    """Pixels that the threads of a run share.

    A thread waits for its share before it decodes. A larger image than all of it is
    decoded alone.

    Parameters
    ----------
    total : int, default=PIXELS
    """

    def __init__(self, total: int = PIXELS) -> None:
        self._total, self._used = total, 0
        self._changed = Condition()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Let this thread read one image; what it claims is free again at the end."""
        share = _Share(self)
        token = _share.set(share)
        try:
            yield
        finally:
            _share.reset(token)
            with self._changed:
                self._used -= share.pixels
                self._changed.notify_all()

    def take(self, pixels: int) -> None:
        """Wait until these pixels fit, and count them as used."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._used == 0 or self._used + pixels <= self._total
            )
            self._used += pixels


class _Share:
    def __init__(self, budget: PixelBudget) -> None:
        self.budget, self.pixels = budget, 0


_share: ContextVar[_Share | None] = ContextVar("share_of_pixels", default=None)


def claim(pixels: int) -> None:
    """Wait until this thread may decode an image of so many pixels.

    A thread claims once per image, so that none waits for another that waits.
    """
    share = _share.get()
    if share is not None and not share.pixels:
        share.budget.take(pixels)
        share.pixels = pixels
