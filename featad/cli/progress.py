"""How far a job is and how long it will take: a bar on a terminal, else lines."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm

from featad._progress import Level, fraction, listening

FIRST = 3.0  # seconds after which a loop's speed is known
EVERY = 30.0  # seconds between lines, where there is no terminal
LONG = 60.0  # seconds: what takes more is announced


@contextmanager
def shown(what: str, total: int | None = None) -> Iterator["Progress"]:
    """Show how far the loops in this block are.

    Parameters
    ----------
    what : str
        The command's work, such as ``"fitting"``.

    total : int or None, default=None
        Number of images, if the block itself counts them by `Progress.advance`.
    """
    progress = Progress(what, total)
    stop = threading.Event()
    ticker = threading.Thread(target=_tick, args=(progress, stop), daemon=True)
    ticker.start()
    try:
        if total is None:
            with listening(progress.hear):
                yield progress
        else:
            yield progress
    except KeyboardInterrupt as interrupt:
        if total is not None:
            interrupt.args = (f"{progress.n_done} of {total} images are scored",)
        raise
    finally:
        stop.set()
        ticker.join()
        progress.close()


def _tick(progress: "Progress", stop: threading.Event) -> None:
    while not stop.wait(0.5):
        progress.tick()


class Progress:
    """What `shown` does, step by step.

    A terminal has one bar, for the outermost loop, with its rate. Elsewhere a line says
    how long a loop will take as soon as that is known, if it is more than a minute, and
    there is a line every half minute.

    Parameters
    ----------
    what : str
        The command's work.

    total : int or None, default=None
        Number of images, if they are counted by `advance`.

    stream : text file, default=None
        Where it is shown. None: stderr.

    clock : callable
        Returns seconds.
    """

    def __init__(
        self,
        what: str,
        total: int | None = None,
        *,
        stream: Any = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.what, self.clock = what, clock
        self.stream = sys.stderr if stream is None else stream
        self._lock = threading.Lock()
        self._levels: tuple[Level, ...] = ()
        self._began: dict[str, tuple[float, float]] = {}  # when, and what was done then
        self._done: dict[str, float] = {}
        self._announced: set[str] = set()  # loops whose duration has been said
        self._said = clock()
        self._bar = None
        if self.stream.isatty():
            layout = "{desc} {percentage:3.0f}% {bar} {elapsed}"
            self._bar = tqdm(
                total=1.0, file=self.stream, bar_format=layout, leave=False, desc=what
            )
        if total is not None:
            self.hear((Level("image", 0, total),))

    def hear(self, levels: tuple[Level, ...]) -> None:
        """Take note of where the loops are."""
        if len(levels) == 1 and levels[0].total < 2:
            return  # a single image, say, that warms a network up
        loop, now = levels[0].what, fraction(levels)
        with self._lock:
            if loop not in self._began or now < self._done[loop]:  # it runs anew
                self._began[loop] = self.clock(), now
            self._done[loop] = now
            self._levels = levels

    def advance(self, n_images: int) -> None:
        """Take note of images that are done."""
        for what, done, total in self._levels:
            self.hear((Level(what, done + n_images, total),))

    @property
    def n_done(self) -> int:
        """How many rounds of the outermost loop are done."""
        return self._levels[0].done if self._levels else 0

    def tick(self) -> None:
        """Show where the loops are, if it is time to."""
        with self._lock:
            if not self._levels:
                return
            if self._bar is not None:
                self._bar.n = fraction(self._levels)
                self._bar.set_description_str(self.text(with_rate=True))
                return
            loop, now = self._levels[0].what, self.clock()
            new = loop not in self._announced and (self.seconds_left() or 0) > LONG
            if new or now - self._said >= EVERY:
                self._announced.add(loop)
                self._said = now
                print(self.text(), file=self.stream, flush=True)

    def text(self, *, with_rate: bool = False) -> str:
        """Return one line: which round of how many, and how long it will take."""
        what, done, total = self._levels[0]
        line = f"{self.what}: {what} {min(done + 1, total):,} of {total:,}"
        whole = self._seconds_in_all()
        if whole is None:
            return line
        line += f", {duration(self.seconds_left() or 0)} left"
        if not with_rate or not whole:
            return line
        rate = total / whole
        each = f"{rate:.2g} a second" if rate >= 1 else f"{duration(1 / rate)} each"
        return f"{line}, {each}"

    def seconds_left(self) -> float | None:
        """Return how long the outermost loop still takes; None: not known yet."""
        whole = self._seconds_in_all()
        return None if whole is None else whole * (1 - fraction(self._levels))

    def _seconds_in_all(self) -> float | None:
        """Return how long the outermost loop takes in all; None: not known yet."""
        start, before = self._began[self._levels[0].what]
        now = fraction(self._levels)
        elapsed = self.clock() - start
        if elapsed < FIRST or now <= before:
            return None
        return elapsed / (now - before)

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()


def duration(seconds: float) -> str:
    """Return about how long something takes, in words.

    Examples
    --------
    >>> [duration(s) for s in (0.3, 42, 61, 400, 9000)]
    ['about 1 s', 'about 40 s', 'about 1 min', 'about 7 min', 'about 2.5 h']
    """
    if seconds < 55:
        return f"about {max(1, round(seconds, -1 if seconds > 20 else 0)):.0f} s"
    if seconds < 90 * 60:
        return f"about {max(1, round(seconds / 60))} min"
    return f"about {seconds / 3600:.2g} h"
