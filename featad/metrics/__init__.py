"""Figures of anomaly scores, with their uncertainty, and of anomaly maps."""

from featad.metrics.curves import mean_roc, roc_draws
from featad.metrics.maps import aupro, pixel_auroc
from featad.metrics.scores import (
    DelongResult,
    auroc,
    average_precision,
    bootstrap_counts,
    bootstrap_interval,
    check_scores,
    check_share,
    delong_test,
    f1_max,
    of_draws,
    tpr_at_fpr,
)

__all__ = [
    "DelongResult",
    "aupro",
    "auroc",
    "average_precision",
    "bootstrap_counts",
    "bootstrap_interval",
    "check_scores",
    "check_share",
    "delong_test",
    "f1_max",
    "mean_roc",
    "of_draws",
    "pixel_auroc",
    "roc_draws",
    "tpr_at_fpr",
]
