"""Pictures of scores and maps: displays as scikit-learn has them, and files of them."""

from featad.plots.files import (
    check_picture,
    plot_histogram,
    plot_most_anomalous,
    plot_overlay,
    plot_roc,
)
from featad.plots.maps import MapDisplay
from featad.plots.overlays import overlaid
from featad.plots.roc import RocDisplay
from featad.plots.scores import ScoreDisplay

__all__ = [
    "MapDisplay",
    "RocDisplay",
    "ScoreDisplay",
    "check_picture",
    "overlaid",
    "plot_histogram",
    "plot_most_anomalous",
    "plot_overlay",
    "plot_roc",
]
