"""How a share changes from hour to hour or day to day, by the times of files."""

import os
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import numpy as np

_HOURS_UP_TO = timedelta(days=2)
_LEAST = 3  # hours or days; fewer tell of no course
_MOST = 60
_FEW = 5  # images; fewer give no share


def over_time(sources: Iterable[Any], is_low: np.ndarray) -> dict[str, Any] | None:
    """Return the share of odd images for each hour or day in which files were modified.

    Parameters
    ----------
    sources : iterable of n_sources sources
        Only paths have a time.

    is_low : bool ndarray of shape (n_sources,)
        Which images are odd.

    Returns
    -------
    course : dict or None
        ``unit``, "hour" or "day"; ``points``, each with ``start`` (ISO 8601, local
        time), ``n`` and ``share``, for those with 5 images or more. None if the files
        do not tell: fewer than three points, as where copying gave all of them the time
        of the copy.
    """
    times = [_modified(source) for source in sources]
    known = [moment for moment in times if moment is not None]
    if len(known) < len(times) or not known:
        return None
    span = max(known) - min(known)
    by_hour = span <= _HOURS_UP_TO
    form = "%Y-%m-%dT%H:00" if by_hour else "%Y-%m-%d"
    starts, place = np.unique([t.strftime(form) for t in known], return_inverse=True)
    n = np.bincount(place)
    low = np.bincount(place, weights=is_low)
    points = [
        {"start": str(start), "n": int(count), "share": float(odd / count)}
        for start, count, odd in zip(starts, n, low, strict=True)
        if count >= _FEW
    ][-_MOST:]
    if len(points) < _LEAST:
        return None
    return {"unit": "hour" if by_hour else "day", "points": points}


def _modified(source: Any) -> datetime | None:
    if not isinstance(source, str | os.PathLike):
        return None
    try:
        return datetime.fromtimestamp(os.stat(source).st_mtime)
    except (OSError, ValueError):
        return None
