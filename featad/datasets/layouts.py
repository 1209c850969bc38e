"""The layouts of public data sets, as a table: which folders hold what."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePath
from typing import NamedTuple

NORMAL_NAMES = frozenset({"good", "ok", "normal", "pass", "no"})
ANOMALY_NAMES = frozenset(
    {"anomaly", "anomalies", "anomalous", "abnormal", "bad", "defect", "defects"}
    | {"defective", "faulty", "nok", "ng", "ko", "fail", "yes"}
)
MASK_NAMES = "ground_truth|groundtruth|ground truth|masks|mask"

Folder = tuple[str, ...]


class Place(NamedTuple):
    """Folders whose images belong to one part of a data set.

    A folder is a path of names, in any case. ``a|b`` is either; NORMAL and ANOMALY are
    usual names of folders of normal or anomalous images; KIND is any name. Folders
    below belong to it. A tuple of names is taken as it is.
    """

    folder: str | Folder
    part: str = ""
    kind: str | None = None  # None: the last name of the folder tells


@dataclass(frozen=True)
class Layout:
    """A way to lay out a data set in folders.

    Attributes
    ----------
    name : str
        For messages.

    places : tuple of Place
        Where images are. The first place that fits an image decides.

    needs : tuple of str
        Folders by which the layout is recognized; all of them must hold images.

    masks : tuple of str
        Folders of masks, whose paths below are like those of the images.

    beside : bool
        Whether masks lie beside their images, as ``x_GT.png`` and ``x.png``, and tell
        which images are normal: those with an empty mask.
    """

    name: str
    places: tuple[Place, ...]
    needs: tuple[str, ...]
    masks: tuple[str, ...] = (MASK_NAMES,)
    beside: bool = False

    def fits(self, folders: Collection[Folder]) -> bool:
        """Return whether all folders that the layout needs are among some folders."""
        return all(any(holds(need, f) for f in folders) for need in self.needs)

    def place_of(self, folder: Folder) -> Place | None:
        """Return the place that a folder belongs to."""
        return next((p for p in self.places if holds(p.folder, folder)), None)

    def mask_folder_of(self, folder: Folder) -> Folder | None:
        """Return the folder of masks that a folder is in, itself perhaps."""
        for pattern in self.masks:
            if holds(pattern, folder):
                return folder[: len(_names(pattern))]
        return None

    def shown(self) -> str:
        """Return the folders of images in words."""
        examples = {"NORMAL": "good", "ANOMALY": "bad"}
        paths = (
            p.folder.split("/") if isinstance(p.folder, str) else p.folder
            for p in self.places
        )
        return ", ".join(
            "/".join(examples.get(step, step.split("|")[0]) for step in path)
            for path in paths
        )


LAYOUTS = (
    Layout(
        "MVTec AD 2",
        needs=("train/NORMAL", "test_public/KIND"),
        places=(
            Place("train/NORMAL", "train", "good"),
            Place("validation/NORMAL", "validation", "good"),
            Place("test_public/KIND", "test"),
        ),
        masks=("test_public/ground_truth",),
    ),
    Layout(
        "MVTec AD, MVTec LOCO or BTAD",  # and VisA as others have arranged it
        needs=("train/NORMAL",),
        places=(
            Place("train/NORMAL", "train", "good"),
            Place("validation|valid|val/NORMAL", "validation", "good"),
            Place("test/KIND", "test"),
        ),
        masks=(MASK_NAMES, "test/ground_truth"),
    ),
    Layout(
        "VisA",
        needs=("data/images/NORMAL", "data/images/ANOMALY"),
        places=(
            Place("data/images/NORMAL", kind="good"),
            Place("data/images/ANOMALY"),
        ),
        masks=("data/masks",),
    ),
    Layout(
        "VisA",  # one folder further down
        needs=("images/NORMAL", "images/ANOMALY"),
        places=(Place("images/NORMAL", kind="good"), Place("images/ANOMALY")),
    ),
    Layout(
        "two folders",
        needs=("NORMAL", "ANOMALY"),
        places=(Place("NORMAL", kind="good"), Place("ANOMALY")),
    ),
    Layout(
        "KolektorSDD2",
        needs=("train", "test"),
        places=(Place("train", "train"), Place("test", "test")),
        beside=True,
    ),
    Layout("KolektorSDD", needs=("",), places=(Place(""),), beside=True),
)
"""The first layout that fits a folder is taken; `load_folder` describes them."""

PLAIN = Layout("images", needs=("",), places=(Place("", kind="good"),), masks=())


def two_folders(normal: str, anomaly: str) -> Layout:
    """Return the layout of two folders with given names, which may be paths."""
    places = [
        Place(PurePath(name).parts, kind=kind)
        for name, kind in ((normal, "good"), (anomaly, anomaly))
    ]
    return Layout("two folders", tuple(places), needs=())


def holds(pattern: str | Folder, folder: Folder) -> bool:
    """Return whether a folder is one that a pattern means, or is below such a one."""
    names = _names(pattern)
    return len(folder) >= len(names) and all(
        allowed is None or name.casefold() in allowed
        for allowed, name in zip(names, folder, strict=False)
    )


def kind_of(place: Place, folder: Folder) -> str:
    """Return what images in a folder show; ``"good"`` is normal."""
    if place.kind is not None:
        return place.kind
    name = folder[len(_names(place.folder)) - 1]
    return "good" if name.casefold() in NORMAL_NAMES else name


def depth(place: Place) -> int:
    """Return how many folders lead to the images of a place."""
    return len(_names(place.folder))


@lru_cache
def _names(pattern: str | Folder) -> tuple[frozenset[str] | None, ...]:
    """Return the names allowed at each step of a pattern; None allows any."""
    if isinstance(pattern, tuple):
        return tuple(frozenset({name.casefold()}) for name in pattern)
    meanings = {"NORMAL": NORMAL_NAMES, "ANOMALY": ANOMALY_NAMES, "KIND": None}
    return tuple(
        meanings[step] if step in meanings else frozenset(step.split("|"))
        for step in pattern.split("/")
        if step
    )
