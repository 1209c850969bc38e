"""The options that every detector takes that trains networks."""

from typing import TypedDict

import numpy as np


class TorchOptions(TypedDict, total=False):
    """What ``**options`` of a ``TorchDetector`` may hold, for editors and mypy."""

    max_epochs: int
    batch_size: int
    lr: float
    trim: float
    balance: float | None
    ema: float | None
    clip_grad: float | None
    early_stopping: int | None
    validation_fraction: float
    device: str
    precision: str
    score_batch_size: int
    contamination: float
    verbose: bool
    random_state: int | np.random.RandomState | None
