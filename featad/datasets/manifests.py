"""Data sets from CSV files, also those that spreadsheets and Windows write."""

import csv
import io
from pathlib import Path

import numpy as np

from featad.datasets.dataset import PARTS, ImageDataset, hash_or_nothing
from featad.datasets.layouts import ANOMALY_NAMES, NORMAL_NAMES
from featad.errors import DatasetError

_UNCLEAR = {"yes", "no"}  # a column may ask for either
_LABELS = {"1": 1, "-1": -1}
_LABELS |= dict.fromkeys(NORMAL_NAMES - _UNCLEAR, 1)
_LABELS |= dict.fromkeys(ANOMALY_NAMES - _UNCLEAR, -1)
_DELIMITERS = ",;\t"
_FILES = ("path", "mask")  # columns

Row = dict[str, str]


def read_manifest(
    path: Path,
    normal: str | int | None = None,
    anomaly: str | int | None = None,
    allow_outside: bool = False,
) -> ImageDataset:
    """Return the data set that a CSV file lists.

    Parameters
    ----------
    path : Path
        The file, as `load_folder` describes it.

    normal, anomaly : str or int, default=None
        The labels that mean normal and anomalous. If one is given, every other label is
        the other.

    allow_outside : bool, default=False
        Whether relative paths may lead out of the folder of the file.

    Returns
    -------
    dataset : ImageDataset

    Raises
    ------
    DatasetError
        If the file is not such a table, or if an image is missing, another one, or out
        of place.
    """
    text, is_sure = _text(path)
    rows = _rows(path, text)
    if not all(row["path"] for row in rows):
        raise DatasetError(f"{str(path)!r} has rows with an empty path.")
    labels = _labels(path, [row["label"] for row in rows], normal, anomaly)
    parts = _complete(path, "split", [_part(path, row) for row in rows])
    groups = _complete(path, "group", [row.get("group", "") for row in rows])
    images = [_file(path, row["path"]) for row in rows]
    masks = [_file(path, row["mask"]) if row.get("mask") else None for row in rows]
    if not allow_outside:
        _check_places(path, [row.get(name, "") for row in rows for name in _FILES])
    _check_files(path, images, masks, is_sure)
    _check_hashes(path, images, [row.get("sha256", "") for row in rows])
    kinds = [
        row.get("kind")
        or ("good" if label == 1 else row["label"] if normal else "anomaly")
        for row, label in zip(rows, labels, strict=True)
    ]
    return ImageDataset(
        name=path.name,
        images=images,
        labels=labels,
        parts=np.array(parts),
        kinds=np.array(kinds),
        masks=masks if any(masks) else None,
        groups=np.array(groups) if any(groups) else None,
    )


def _text(path: Path) -> tuple[str, bool]:
    """Return what a file says, and whether its encoding is beyond doubt."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"Cannot read {str(path)!r}: {error.strerror}.") from error
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        encodings = ["utf-16"]
    elif b"\0" in content[:100:2] or b"\0" in content[1:100:2]:
        encodings = ["utf-16-be" if content[:1] == b"\0" else "utf-16-le"]
    else:
        encodings = ["utf-8-sig", "cp1252"]
    for encoding in encodings:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if not _has_controls(text):
            return text, encoding != "cp1252"
    raise DatasetError(
        f"Cannot read {str(path)!r} as CSV: it is not text in UTF-8. In a spreadsheet, "
        'save it as "CSV UTF-8".'
    )


def _has_controls(text: str) -> bool:
    return any(ord(c) < 32 and c not in "\t\r\n\f" for c in text[:10_000])


def _rows(path: Path, text: str) -> list[Row]:
    """Return the rows by the names of their columns, in lower case."""
    first, _, rest = text.partition("\n")
    if first.strip().lower().startswith("sep="):  # a note of spreadsheets to themselves
        first, text = rest.partition("\n")[0], rest
    delimiter = max(_DELIMITERS, key=first.count)
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    except csv.Error as error:
        raise DatasetError(f"Cannot read {str(path)!r} as CSV: {error}.") from error
    columns = [name.strip().casefold() for name in lines[0]] if lines else []
    missing = [name for name in ("path", "label") if name not in columns]
    if missing:
        raise DatasetError(
            f"{str(path)!r} has no column {missing[0]!r}; its first line is "
            f"{first.strip()[:80]!r}. A manifest has the columns "
            "path,label[,split][,mask][,group], separated by commas, semicolons or "
            "tabs."
        )
    rows = []
    for line in filter(any, lines[1:]):
        values = [value.strip() for value in line] + [""] * len(columns)
        rows.append(dict(zip(columns, values, strict=False)))
    if not rows:
        raise DatasetError(f"{str(path)!r} lists no images.")
    return rows


def _labels(
    path: Path,
    texts: list[str],
    normal: str | int | None,
    anomaly: str | int | None,
) -> np.ndarray:
    names = [_plain(text) for text in texts]
    known = sorted(set(names))
    if normal is not None or anomaly is not None:
        meanings = _meanings(path, known, normal, anomaly)
    elif set(known) <= {"0", "1"} and "0" in known:
        raise DatasetError(
            f"{str(path)!r} has labels 0 and 1. Labels are 1 (normal) and -1 "
            "(anomalous). If 1 means anomalous, say so: anomaly=1, or --anomaly-label "
            "1 on the command line; if 0 does, anomaly=0."
        )
    else:
        meanings = _LABELS
    unknown = [text for text in texts if _plain(text) not in meanings]
    if unknown:
        raise DatasetError(
            f"{str(path)!r} has the label {unknown[0]!r}. Labels are 1 (or normal, "
            "good, ok) and -1 (or anomalous, anomaly, bad, defect, nok). If another "
            "one means anomalous, say which: anomaly='...', or --anomaly-label on the "
            "command line."
        )
    return np.array([meanings[name] for name in names], dtype=np.int64)


def _meanings(
    path: Path, known: list[str], normal: str | int | None, anomaly: str | int | None
) -> dict[str, int]:
    """Return what labels mean if one or both of them are named."""
    given = {1: normal, -1: anomaly}
    named = {
        _plain(str(name)): label for label, name in given.items() if name is not None
    }
    for name in named:
        if name not in known:
            raise DatasetError(
                f"{str(path)!r} has no label {name!r}; its labels are "
                f"{', '.join(known[:10])}."
            )
    others = [name for name in known if name not in named]
    if normal is None and len(others) > 1:
        raise DatasetError(
            f"{str(path)!r} has the labels {', '.join(known[:10])}. Say which one is "
            "normal as well: normal='...', or --normal-label on the command line."
        )
    if len(named) == 2:
        return named
    return named | dict.fromkeys(others, -next(iter(named.values())))


def _plain(text: str) -> str:
    """Return a label as it is compared: "1.0" and "1,0" are "1"."""
    text = text.casefold().strip()
    head, _, tail = text.replace(",", ".").partition(".")
    return head if tail and set(tail) == {"0"} else text


def _part(path: Path, row: Row) -> str:
    part = (row.get("split") or row.get("part") or "").casefold()
    if part not in (*PARTS, ""):
        raise DatasetError(
            f"{str(path)!r} has the split {part!r}. Expected train, validation, test "
            "or empty."
        )
    return part


def _complete(path: Path, column: str, values: list[str]) -> list[str]:
    """Return the values of a column that is filled in everywhere or nowhere."""
    if any(values) and not all(values):
        raise DatasetError(
            f"{values.count('')} of the {len(values)} rows of {str(path)!r} have no "
            f"{column}. Fill in all of them or none."
        )
    return values


def _file(manifest: Path, name: str) -> Path:
    """Return the path of a file, which may be written with backslashes."""
    path = manifest.parent / name
    if "\\" in name and not path.exists():
        return manifest.parent / name.replace("\\", "/")
    return path


def _check_files(
    path: Path, images: list[Path], masks: list[Path | None], is_sure: bool
) -> None:
    missing = [file for file in (*images, *masks) if file and not file.is_file()]
    if missing and not is_sure:
        raise DatasetError(
            f"{str(path)!r} is not in UTF-8, so that names of files are not sure: "
            f'{str(missing[0])!r} is missing. Save it as "CSV UTF-8".'
        )
    if missing:
        raise DatasetError(
            f"{len(missing)} of the files listed in {str(path)!r} are missing; first: "
            f"{str(missing[0])!r}. Paths are relative to the folder of this file."
        )


def _check_places(path: Path, names: list[str]) -> None:
    """Refuse relative paths that lead out of a folder, by `..` or by a link."""
    folder = path.parent.resolve()
    relative = [name for name in names if not Path(name).is_absolute()]
    out = [name for name in relative if _leads_out(_file(path, name), folder)]
    if out:
        raise DatasetError(
            f"{len(out)} of the relative paths in {str(path)!r} lead out of its "
            f"folder; first: {out[0]!r}. Write absolute paths, or pass "
            "allow_outside=True (--allow-outside) if the list is yours."
        )


def _leads_out(file: Path, folder: Path) -> bool:
    try:
        return not file.resolve().is_relative_to(folder)
    except (OSError, RuntimeError, ValueError):  # it is missing, as will be said
        return False


def _check_hashes(path: Path, images: list[Path], hashes: list[str]) -> None:
    for image, expected in zip(images, hashes, strict=True):
        if expected and hash_or_nothing(image) != expected.lower():
            raise DatasetError(
                f"{str(image)!r} is not the image recorded in {str(path)!r}: its "
                "sha256 differs."
            )
