"""Figures of anomaly scores, with their uncertainty, and of anomaly maps."""

from featad.metrics.curves import mean_roc, roc_draws
from featad.metrics.delong import DelongResult, delong_test
from featad.metrics.maps import aupro, pixel_auroc
from featad.metrics.scores import (
    auroc,
    average_precision,
    bootstrap_interval,
    f1_max,
    tpr_at_fpr,
)

__all__ = [
    "DelongResult",
    "aupro",
    "auroc",
    "average_precision",
    "bootstrap_interval",
    "delong_test",
    "f1_max",
    "mean_roc",
    "pixel_auroc",
    "roc_draws",
    "tpr_at_fpr",
]
