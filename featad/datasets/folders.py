"""Data sets from folders, by their layout, and from manifests."""

import os
from pathlib import Path

from featad.datasets.arranging import arrange
from featad.datasets.copies import check_copies
from featad.datasets.dataset import ImageDataset
from featad.datasets.layouts import (
    ANOMALY_NAMES,
    LAYOUTS,
    NORMAL_NAMES,
    PLAIN,
    Folder,
    Layout,
    holds,
    two_folders,
)
from featad.datasets.manifests import read_manifest
from featad.datasets.mask_files import masks_beside
from featad.errors import DatasetError
from featad.images import Listing, scan_folder

_TELLING = ANOMALY_NAMES - {"yes"} | {"test", "test_public", "ground_truth"}


def load_folder(
    path: str | os.PathLike,
    *,
    normal: str | int | None = None,
    anomaly: str | int | None = None,
    allow_outside: bool = False,
) -> ImageDataset:
    """Find the images of a data set, with labels and parts from its folders.

    Parameters
    ----------
    path : path-like
        A CSV file, or a folder in one of these layouts, whatever the case of names:

        - ``train/good``, ``test/good``, ``test/<kind>`` and, optionally,
          ``validation/good`` and ``ground_truth/<kind>``: MVTec AD, MVTec LOCO, BTAD;
        - the same with ``test_public`` and, in it, ``ground_truth``: MVTec AD 2;
        - ``Data/Images/Normal``, ``Data/Images/Anomaly`` and ``Data/Masks``: VisA;
        - ``train`` and ``test`` with masks beside the images, ``x.png`` and
          ``x_GT.png``, where an empty mask says that an image is normal: KolektorSDD2;
          the same in any other folders, without a split: KolektorSDD;
        - two folders, one of normal and one of anomalous images and, optionally, one of
          masks, ``ground_truth/<kind>`` or ``masks/<kind>``;
        - any other folder: all images in it and below are normal.

        Folders of normal images are called good, ok, normal, pass or no.

        A CSV file, separated by commas, semicolons or tabs, has the columns ``path``
        (relative to the file) and ``label`` (1 or normal, -1 or anomalous), and
        optionally ``split`` or ``part`` (train, validation or test), ``mask``,
        ``kind``, ``group`` (images that belong together) and ``sha256``, which the
        files must match.

    normal, anomaly : str or int, default=None
        Names of the two folders. None recognizes the usual ones: normal and anomaly,
        good and bad, ok and nok, no and yes, and a few more. For a CSV file: the labels
        that mean normal and anomalous; if one is given, any other label is the other.

    allow_outside : bool, default=False
        Whether relative paths in a CSV file may lead out of its folder, by ``..`` or by
        a link. Absolute paths may be anywhere: whoever writes them means them. Links in
        a folder of images are followed.

    Returns
    -------
    dataset : ImageDataset
        ``images`` are paths. None of them is opened, but masks beside images are.

    Raises
    ------
    DatasetError
        If the folder or file is missing, contains no images, or has another layout; if
        there are masks, but not of every anomalous image; if one file is listed as
        normal and as anomalous; or if a CSV file lists files out of its folder.

    Warns
    -----
    DatasetWarning
        If files are left out, as by :func:`list_images` or because they are in a folder
        that the layout does not have; and if images are copies of others.

    References
    ----------
    .. [1] Bergmann et al., "MVTec AD", CVPR 2019; "Beyond Dents and Scratches" (LOCO),
       IJCV 2022; Heckler-Kram et al., "The MVTec AD 2 Dataset", 2025.
    .. [2] Mishra et al., "VT-ADL" (BTAD), ISIE 2021; Zou et al., "SPot-the-Difference"
       (VisA), ECCV 2022; Božič et al., "Mixed supervision for surface-defect
       detection" (KolektorSDD2), Computers in Industry 2021.

    Examples
    --------
    >>> from featad import load_folder
    >>> load_folder("no such folder")
    Traceback (most recent call last):
    featad.errors.DatasetError: There is no folder 'no such folder'.
    """
    path = Path(path)
    if path.is_file():
        dataset = read_manifest(path, normal, anomaly, allow_outside)
    else:
        if (normal is None) != (anomaly is None):
            raise DatasetError(
                "Name both folders, normal=... and anomaly=..., or neither."
            )
        listing = scan_folder(path)
        names = None if normal is None else (str(normal), str(anomaly))
        dataset = arrange(listing, _layout_of(listing, names))
        listing.warn()
    check_copies(dataset)
    return dataset


def _layout_of(listing: Listing, names: tuple[str, str] | None) -> Layout:
    folders = _folders_of_images(listing)
    if names is not None:
        layout = two_folders(*names)
        for name, place in zip(names, layout.places, strict=True):
            if not any(holds(place.folder, folder) for folder in folders):
                folder = listing.folder / name
                what = "are no images in" if folder.is_dir() else "is no folder"
                raise DatasetError(f"There {what} {str(folder)!r}.")
        return layout
    for layout in LAYOUTS:
        if not layout.fits(folders):
            continue
        if not layout.beside or masks_beside(listing.images):
            return layout
    _refuse_mixture(listing, folders)
    return PLAIN


def _folders_of_images(listing: Listing) -> set[Folder]:
    """Return the folders below a listing's that hold images, as tuples of names."""
    parents = {os.path.dirname(path) for path in listing.images}
    return {Path(parent).relative_to(listing.folder).parts for parent in parents}


def _refuse_mixture(listing: Listing, folders: set[Folder]) -> None:
    """Refuse to take all images as normal if folders say that they are not."""
    path = str(listing.folder)
    if inner := _inner_data_sets(folders):
        first, *_ = inner
        layouts = ", ".join(sorted({layout.name for layout in inner.values()}))
        named = ", ".join("/".join(folder) for folder in list(inner)[:5])
        more = ", ..." if len(inner) > 5 else ""
        count = "a data set" if len(inner) == 1 else f"{len(inner)} data sets"
        raise DatasetError(
            f"{path!r} does not contain normal images only: it holds {count} "
            f"(layout: {layouts}): {named}{more}. Pass one of them, such as "
            f"{str(listing.folder.joinpath(*first))!r}."
        )
    tops = {folder[0].casefold() for folder in folders if folder}
    if {"train", "test"} <= tops:
        raise DatasetError(
            f"{path!r} has train and test, but no images in train/good (or train/ok, "
            "train/normal)."
        )
    names = {name.casefold() for folder in folders for name in folder}
    telling = sorted(names & _TELLING)
    if names & (NORMAL_NAMES - {"no"}) and len({folder[:1] for folder in folders}) > 1:
        telling.append("good beside other folders")
    if telling:
        raise DatasetError(
            f"{path!r} does not contain normal images only: below it is {telling[0]}. "
            "Pass the folder of normal images, the folder that contains train and "
            "test, or the names of two folders (normal, anomaly)."
        )


def _inner_data_sets(folders: set[Folder]) -> dict[Folder, Layout]:
    """Return the folders one or two steps down that are data sets, with layouts."""
    layouts = [layout for layout in LAYOUTS if not layout.beside]
    for n_steps in (1, 2):
        found = {}
        for outer in sorted({f[:n_steps] for f in folders if len(f) > n_steps}):
            inner = {f[n_steps:] for f in folders if f[:n_steps] == outer}
            layout = next((one for one in layouts if one.fits(inner)), None)
            if layout:
                found[outer] = layout
        if found:
            return found
    return {}
