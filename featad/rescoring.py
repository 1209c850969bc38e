"""Scoring again what could not be scored: files that were still being written."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from featad._whole_files import replacing
from featad.base import anomaly_threshold
from featad.score_files import check_format, open_rows, read_rows, reserved
from featad.scoring import COLUMNS, score_images


def rescore_file(
    system: BaseEstimator,
    path: str | os.PathLike,
    output: str | os.PathLike | None = None,
    *,
    batch_size: int = 64,
    progress: Callable[[int], None] = lambda n_images: None,
) -> pd.DataFrame:
    """Score the images again whose rows in a score file have an error.

    All other rows stay as they are, in their places. The new file replaces the old one
    when it is complete; until then the old one is whole.

    Parameters
    ----------
    system : estimator
        The fitted system that the file was written with.

    path : path-like
        A file that `score_to_file` has written.

    output : path-like, default=None
        Where to write all rows. None: to ``path``.

    batch_size : int, default=64
        Images scored at a time.

    progress : callable
        Called with the number of images of each batch once it is scored.

    Returns
    -------
    rows : DataFrame
        The rows that were scored again, with the columns of `score_images`. Its index
        is their places in the file.

    Raises
    ------
    ValueError
        If the file is not a table of scores of images, or its threshold is not the
        system's.

    OSError
        If it cannot be read or written, or another run is writing it.

    Examples
    --------
    >>> import tempfile
    >>> from PIL import Image
    >>> from sklearn.pipeline import make_pipeline
    >>> from featad import ImageReader, KMeansDistance, rescore_file, score_to_file
    >>> parts = np.full((9, 8, 8), 0.5) + np.linspace(0, 0.1, 9)[:, None, None]
    >>> reader = ImageReader(mode="L", flatten=True)
    >>> system = make_pipeline(reader, KMeansDistance(1)).fit(parts)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     image, table = Path(folder, "late.png"), Path(folder, "scores.csv")
    ...     n_failed = score_to_file(system, [image], table).failed
    ...     Image.new("L", (8, 8)).save(image)
    ...     rows = rescore_file(system, table)
    >>> n_failed, rows["is_anomaly"].tolist()
    (1, [True])
    """
    output = Path(path if output is None else output)
    check_format(output)
    with reserved(output):
        rows = read_rows(path)
        _check_rows(rows, path, anomaly_threshold(system))
        places = np.flatnonzero(rows["error"].notna())
        sources = [_file(name) for name in rows["path"].iloc[places]]
        found = []
        for batch in score_images(system, sources, batch_size=batch_size):
            found.append(batch)
            progress(len(batch))
        again = rows.iloc[:0]
        if found:
            again = pd.concat(found).set_axis(places)
            rows = rows.astype(object)
            rows.loc[places, list(COLUMNS)] = again.astype(object)
            rows = rows.astype(found[0].dtypes)
        elif output.resolve() == Path(path).resolve():
            return again
        with replacing(output) as partial, open_rows(partial) as write:
            write(rows)
        return again


def _check_rows(rows, path, threshold):
    if "group" in rows or not {*COLUMNS} <= {*rows.columns}:
        raise ValueError(
            f"{str(path)!r} is not a table with one row per image: it should have the "
            f"columns {', '.join(COLUMNS)}."
        )
    others = rows["threshold"].dropna()
    others = others[others != threshold]
    if len(others):
        raise ValueError(
            f"{str(path)!r} was written with the threshold {others.iloc[0]:.6g}, but "
            f"that of this model is {threshold:.6g}. Pass the same model and the same "
            "target rate, or score all images anew."
        )


def _file(name):
    """Return the path that a row names; what is not UTF-8 in it is escaped there."""
    if os.path.exists(name):
        return name
    byte = re.compile(rb"\\x([0-9a-f]{2})")
    raw = byte.sub(lambda digits: bytes.fromhex(digits[1].decode()), name.encode())
    return name if b"\0" in raw or not os.path.exists(raw) else os.fsdecode(raw)
