"""Base of the detectors that train networks: three hooks, everything else is here."""

import warnings
from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_random_state
from torch import Tensor

from featad import _sklearn
from featad._device import autocast, resolve_device
from featad._validation import (
    check_labels,
    check_samples,
    warn_of_anomalies,
    warn_of_zeros_and_ones,
)
from featad.base import (
    COUNT,
    NON_NEGATIVE,
    POSITIVE,
    BaseDetector,
    Interval,
    StrOptions,
)
from featad.neural.context import Context, Options, Stage
from featad.neural.fitted import NetworkDetector
from featad.neural.noise import local_rng
from featad.neural.sampling import hold_out
from featad.neural.tensors import Batches, Scaling, to_array
from featad.neural.training import Trainer

__all__ = [  # what files of detectors import, from one place
    "COUNT",
    "NON_NEGATIVE",
    "POSITIVE",
    "UNMEASURED",
    "Context",
    "Interval",
    "Stage",
    "StrOptions",
    "TorchDetector",
]


class _Unmeasured(_sklearn.Options):
    """None alone, for ``early_stopping`` where nothing tells when to stop."""

    def __str__(self):
        return (
            "None, because held-out samples do not show how well these networks have "
            "learned; set max_epochs"
        )


UNMEASURED = _Unmeasured(type(None), {None})
_OF_THE_MACHINE = ("device", "verbose")  # no network depends on them


class TorchDetector(NetworkDetector):
    """Base of all detectors that train networks.

    A subclass writes three hooks: plain methods that read parameters from ``self`` and
    everything else from their arguments.

    - ``_networks(shape)`` returns ``{name: Module}`` for samples of this shape, either
      (n_features,) or (channels, height, width). Networks without a weight that
      requires a gradient are frozen: they are not pickled but built again.
    - ``_losses(nets, x, t)`` yields ``(names, loss)`` in update order. The named
      networks take a step before the next loss is requested, so a loss that depends on
      that step is built after it. A loss is a scalar or, better, one number per sample,
      which is averaged. ``t`` is a :class:`featad.neural.context.Context`.
    - ``_strangeness_of(nets, x, t)`` returns one number per sample, high = anomalous.

    Optional are

    - ``_map_of(nets, x, t)``, of shape (n, height, width): gives the detector a public
      ``anomaly_map``;
    - ``_fit_statistics(nets, batches, t)``, called after each stage with batches of all
      training samples that are not labeled anomalies, which can be iterated over more
      than once: returns a dict that hooks find as ``t.statistics`` from then on;
    - ``_keep_key(nets, x, t)``: how badly each sample is fitted, for trimming and early
      stopping; by default the strangeness. Needed if that uses ``t.statistics``. Where
      nothing measures the fit, ``early_stopping`` has the constraint ``[UNMEASURED]``,
      or the stage has ``stops_early=False``;
    - ``_stages``, a tuple of :class:`featad.neural.context.Stage`;
    - ``_optimizers``, a dict of settings by network name: ``kind`` ("adam", "rmsprop",
      "sgd") and arguments of that torch optimizer;
    - ``_uses_labels``, true where ``fit`` reads ``y``; ``_needs_anomalies``, true where
      it must hold a -1; ``_min_batch``.

    An ``__init__`` names its own parameters and hands on the rest:
    ``def __init__(self, *, own=1, **options: Unpack[TorchOptions])`` calls
    ``super().__init__(**options)``. Where a class has other defaults than its base they
    stand in its ``_defaults``, and it calls ``super().__init__(**{**Own._defaults,
    **options})``. Signature and documentation are completed from here.

    Parameters
    ----------
    max_epochs : int, default=50
        Number of passes through the training samples in each stage. 0: the networks
        stay untrained.

    batch_size : int, default=64
        Samples per step. For few samples use smaller batches, such as 8 for 50 samples,
        and more epochs, because the number of steps matters.

    lr : float, default=0.001
        Learning rate of Adam.

    trim : float in [0, 0.5], default=0.0
        Share of the samples with the largest errors that is left out of each step, for
        training sets that hold unlabeled anomalies. Nothing is left out in the first
        tenth of a stage, and the whole share from half-time on.

    balance : float in (0, 1) or None, default=None
        Exact share of labeled anomalies in every batch, for detectors that use labels.
        None: as they come.

    ema : float in (0, 1) or None, default=None
        Decay of the running average of the weights, which is used for scores. None: the
        last weights are used.

    clip_grad : float or None, default=None
        Largest norm of the gradient of a step. None: no limit.

    early_stopping : int or None, default=None
        Number of epochs without a lower error on held-out normal samples after which a
        stage ends and the weights of its best epoch are restored. None: nothing is held
        out.

    validation_fraction : float in (0, 1), default=0.1
        Share of the normal samples held out for ``early_stopping``; at least one.

    device : str, default="auto"
        ``"auto"`` (a GPU if there is one), ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ...

    precision : {"float32", "bfloat16"}, default="float32"
        Floating-point type used in training. Scores are always computed in float32.

    score_batch_size : int, default=256
        Samples scored at a time. Affects memory and speed, not scores.

    verbose : bool, default=False
        Whether a progress bar is shown on standard error.

    random_state : int, RandomState instance or None, default=None
        Seeds the initial weights, the order of the samples, and all noise.

    Attributes
    ----------
    networks_ : dict of str to torch.nn.Module
        The trained networks, on the CPU and in eval mode. After unpickling they are
        built on first use.

    statistics_ : dict of str to object
        Values measured on the training samples after training.

    history_ : list of dict
        One entry per epoch: stage, epoch, mean losses, and ``validation`` if samples
        are held out.

    trimmed_share_ : ndarray of shape (n_samples,), float64
        How often each training sample was left out by ``trim``.

    input_mean_ : ndarray of shape (n_features,) or (channels,), float64
        What is subtracted from samples; 0 for images in [0, 1].

    input_scale_ : ndarray of shape (n_features,) or (channels,), float64
        What the difference is divided by; 1 for images in [0, 1].

    frozen_ : tuple of str
        Names of the networks that were built frozen and are not trained.

    fit_params_ : dict
        Parameters at the time of ``fit``, from which stored networks are built again;
        without those of the machine, ``device`` and ``verbose``.

    seed_ : int
        The seed drawn from ``random_state``, which determines the initial weights.

    Notes
    -----
    Tables are standardized, feature by feature. Images are expected in [0, 1] and used
    as they are. If the training images hold other values, as feature maps do, they are
    standardized channel by channel.

    The same seed, number of threads and machine give the same scores, bit for bit, on a
    CPU.
    """

    _parameter_constraints: dict = {
        **BaseDetector._parameter_constraints,
        "max_epochs": [Interval(Integral, 0, None, closed="left")],
        "batch_size": [COUNT],
        "lr": [POSITIVE],
        "trim": [Interval(Real, 0, 0.5, closed="both")],
        "balance": [Interval(Real, 0, 1, closed="neither"), None],
        "ema": [Interval(Real, 0, 1, closed="neither"), None],
        "clip_grad": [POSITIVE, None],
        "early_stopping": [COUNT, None],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "device": [str],
        "precision": [StrOptions({"float32", "bfloat16"})],
        "score_batch_size": [COUNT],
        "verbose": ["boolean"],
        "random_state": ["random_state"],
    }

    _trains_networks = True
    _defaults: dict[str, Any] = {}
    _stages: tuple[Stage, ...] = (Stage("main"),)
    _optimizers: dict[str, dict] = {}
    _min_batch = 1

    def __init__(
        self,
        *,
        max_epochs=50,
        batch_size=64,
        lr=1e-3,
        trim=0.0,
        balance=None,
        ema=None,
        clip_grad=None,
        early_stopping=None,
        validation_fraction=0.1,
        device="auto",
        precision="float32",
        score_batch_size=256,
        contamination=0.05,
        verbose=False,
        random_state=None,
    ):
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.lr = lr
        self.trim = trim
        self.balance = balance
        self.ema = ema
        self.clip_grad = clip_grad
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.device = device
        self.precision = precision
        self.score_batch_size = score_batch_size
        self.contamination = contamination
        self.verbose = verbose
        self.random_state = random_state

    def _keep_key(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        return self._strangeness_of(nets, x, t)

    def _fit_statistics(
        self, nets: dict, batches: Iterable[Tensor], t: Context
    ) -> dict[str, Any]:
        return {}

    def fit(self, X: Any, y: Any = None) -> "TorchDetector":
        """Train the networks on normal samples.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            A table (n_samples, n_features), or images (n_samples, height, width) or
            (n_samples, height, width, channels) in [0, 1]. Integers are read in
            [0, 1] by the largest value of their type.

        y : array-like of shape (n_samples,), default=None
            1 normal, -1 anomalous, 0 unlabeled. Only read by detectors, and with
            parameters, that learn from labeled anomalies.

        Returns
        -------
        self : TorchDetector
            The fitted detector.

        Raises
        ------
        ValueError
            If a parameter is out of its range; if ``X`` is empty, not finite, or
            neither a table nor images; or if labels are used and hold other values.
        FloatingPointError
            If a loss becomes infinite or NaN.
        """
        self._validate_params()
        X = check_samples(self, X, reset=True)
        if not self._uses_labels:
            warn_of_anomalies(self, y)
        labels = self._training_labels(y, len(X))
        self._train(X, labels)
        self._set_offset(X[labels != -1] if (labels == -1).any() else X)
        return self

    def _training_labels(self, y: Any, n_samples: int) -> np.ndarray:
        if not self._uses_labels or y is None:
            labels = np.zeros(n_samples, dtype=np.int64)
        else:
            labels = check_labels(y, n_samples=n_samples, allow_unlabeled=True)
            warn_of_zeros_and_ones(self, labels)
        if self._needs_anomalies and not (labels == -1).any():
            raise ValueError(
                f"{type(self).__name__} learns from labeled anomalies: y must hold at "
                "least one -1 (1 normal, -1 anomalous, 0 unlabeled)."
            )
        if (labels == -1).all():
            raise ValueError(
                f"{type(self).__name__} needs normal samples, but all "
                f"{n_samples} labels are -1 (anomalous)."
            )
        return labels

    def _train(self, X: np.ndarray, labels: np.ndarray) -> None:
        self.fit_params_ = {
            name: value
            for name, value in self.get_params(deep=False).items()
            if name not in _OF_THE_MACHINE
        }
        self.seed_ = int(check_random_state(self.random_state).randint(2**31 - 1))
        device = resolve_device(self.device)
        if X.ndim not in (2, 3, 4):
            raise ValueError(
                f"{type(self).__name__} takes tables (n, n_features) and images (n, "
                f"height, width[, channels]), but X.shape={X.shape}."
            )
        _warn_of_equal_samples(self, X[labels != -1])
        scaling = Scaling.fit(X[labels != -1])
        self.input_mean_, self.input_scale_ = scaling.mean, scaling.scale
        nets = {name: net.to(device) for name, net in self._build().items()}

        def load(index):
            return scaling.to_tensor(X[index]).to(device)

        self.statistics_: dict[str, Any] = {}
        self.frozen_ = tuple(
            name
            for name, net in nets.items()
            if not any(weight.requires_grad for weight in net.parameters())
        )
        trainer = Trainer(
            nets,
            self._losses,
            keep_key=self._keep_key,
            rebuild=lambda: self._networks(scaling.network_shape),
            load=load,
            labels=labels,
            held_out=self._hold_out(labels),
            options=self._options(),
            seed=self.seed_,
            device=device,
            n_epochs=sum(getattr(self, stage.epochs) for stage in self._stages),
        )
        others = np.flatnonzero(labels != -1)
        with local_rng(self.seed_, device):
            for stage in self._stages:
                n_epochs = getattr(self, stage.epochs)
                trainer.run(stage, n_epochs, self._statistics_on(device))
                t = self._context(device, stage.name)
                batches = Batches(load, others, self.score_batch_size)
                with torch.no_grad(), autocast(device, "float32"):
                    found = self._fit_statistics(nets, batches, t)
                self.statistics_ |= {key: to_array(v) for key, v in found.items()}
        self.history_ = trainer.history
        self.trimmed_share_ = trainer.trimming.left_out_share
        self.networks_ = {name: net.cpu() for name, net in nets.items()}

    def _options(self) -> Options:
        return Options(
            batch_size=self.batch_size,
            lr=self.lr,
            precision=self.precision,
            trim=self.trim,
            balance=self.balance,
            ema=self.ema,
            clip_grad=self.clip_grad,
            early_stopping=self.early_stopping,
            min_batch=self._min_batch,
            optimizers=self._optimizers,
            verbose=self.verbose,
        )

    def _hold_out(self, labels: np.ndarray) -> np.ndarray:
        """Return the places of the normal samples held out for early stopping."""
        if self.early_stopping is None:
            return np.empty(0, dtype=np.int64)
        return hold_out(labels, self.validation_fraction, self.seed_)


def _warn_of_equal_samples(detector, X):
    # two first: most sets need no more
    if len(X) > 1 and (X[0] == X[1]).all() and (X[0] == X).all():
        warnings.warn(
            f"All samples that {type(detector).__name__} trains on are equal, so it "
            "cannot learn how much normal samples differ. Is the camera stuck, or the "
            "folder full of copies?",
            UserWarning,
        )
