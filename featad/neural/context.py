"""What a training is given: its stages, its options, and what hooks may read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

WARM_UP = 0.2
"""Share of a stage in which what comes in slowly grows to its full weight."""


class Stage(NamedTuple):
    """A part of a training.

    Attributes
    ----------
    name : str
        What ``t.stage`` says.

    epochs : str
        The detector's parameter that holds the number of epochs.

    trains : tuple of str or None
        Networks that may be yielded; all others stay frozen, in eval mode. None: all.

    stops_early : bool
        Whether ``early_stopping`` may end it. Not where held-out samples do not show
        how well networks have learned, as those of a critic and a generator.

    trims : bool
        Whether ``trim`` leaves samples out of it.
    """

    name: str
    epochs: str = "max_epochs"
    trains: tuple[str, ...] | None = None
    stops_early: bool = True
    trims: bool = True


@dataclass(frozen=True)
class Context:
    """What hooks may read beside the batch.

    Attributes
    ----------
    rng : torch.Generator
        On the batch's device; the only source of randomness. Seeded anew for each call
        when scoring.

    y : Tensor of shape (n,), int64, or None
        Labels of the batch: 1 normal, -1 anomalous, 0 unlabeled. None when scoring.

    index : Tensor of shape (n,), int64, or None
        Places of the batch's samples in the training set. None when scoring.

    epoch, step : int
        Counted from 0 within the stage.

    progress : float
        Share of the stage's steps done, 0 at its first step. 1 when scoring.

    stage : str
        Name of the stage; ``"score"`` when scoring.

    statistics : Mapping of str to object
        What ``_fit_statistics`` returned so far; arrays as tensors on the device.
    """

    rng: torch.Generator
    y: Tensor | None = None
    index: Tensor | None = None
    epoch: int = 0
    step: int = 0
    progress: float = 1.0
    stage: str = "score"
    statistics: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_anomaly(self) -> Tensor:
        """Which samples of the batch are labeled anomalies, (n,), bool; in training."""
        return self._labels == -1

    @property
    def is_labeled(self) -> Tensor:
        """Which samples of the batch have a label, (n,), bool; in training."""
        return self._labels != 0

    @property
    def _labels(self) -> Tensor:
        if self.y is None:
            raise ValueError("Labels are known in training, not when scoring.")
        return self.y

    @property
    def warm_up(self) -> float:
        """A weight that grows from 0 to 1 over the first fifth of the stage."""
        return min(1.0, self.progress / WARM_UP)


@dataclass(frozen=True)
class Options:
    """How networks are trained; the names are those of ``TorchDetector``."""

    batch_size: int = 64
    lr: float = 1e-3
    precision: str = "float32"
    trim: float = 0.0
    balance: float | None = None
    ema: float | None = None
    clip_grad: float | None = None
    early_stopping: int | None = None
    min_batch: int = 1
    optimizers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    verbose: bool = False
