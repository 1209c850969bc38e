"""One loop for every network: named losses in update order, stages, trimming, averages.

Nothing here knows detectors. All randomness comes from a seed; the global generators
are left as they were.
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from featad._device import autocast
from featad._progress import tracked
from featad.neural.context import Context, Options, Stage
from featad.neural.noise import generator, local_rng
from featad.neural.sampling import Trimming, batches, chunks

RESET = object()
"""Yielded in place of a loss: the named networks and their optimizers start anew."""

_OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": partial(torch.optim.Adam, fused=True),
    "rmsprop": torch.optim.RMSprop,  # has no fused kernel
    "sgd": partial(torch.optim.SGD, fused=True),
}


class Trainer:
    """Train named networks by losses that are yielded in update order.

    Parameters
    ----------
    nets : dict of str to torch.nn.Module
        On ``device``.

    losses : callable
        ``losses(nets, x, t)`` yields ``(names, loss)``: the loss, a scalar or a vector
        of one number per sample, is averaged, and the networks called ``names`` take
        one step before the next loss is asked for. ``(names, RESET)`` starts those
        networks and their optimizers anew.

    keep_key : callable
        ``keep_key(nets, x, t)`` says how badly each sample is fitted, shape (n,). Used
        by trimming and early stopping.

    rebuild : callable
        Returns new networks like ``nets``, for RESET.

    load : callable
        ``load(index)`` returns the samples at these places of the training set.

    labels : ndarray of shape (n_samples,), int
        1 normal, -1 anomalous, 0 unlabeled.

    held_out : ndarray of int
        Places of samples that are not trained on, for early stopping.

    options : Options

    seed : int

    device : torch.device

    n_epochs : int or None, default=None
        Number of epochs of all stages, to tell how far the training is.

    Attributes
    ----------
    history : list of dict
        One per epoch: stage, epoch, the mean loss by network names joined with "+",
        and with early stopping ``validation``.

    trimming : Trimming
        Its ``left_out_share`` tells how often each sample was left out.
    """

    def __init__(
        self,
        nets: dict[str, nn.Module],
        losses: Callable,
        *,
        keep_key: Callable,
        rebuild: Callable[[], dict[str, nn.Module]],
        load: Callable[[np.ndarray], Tensor],
        labels: np.ndarray,
        held_out: np.ndarray,
        options: Options,
        seed: int,
        device: torch.device,
        n_epochs: int | None = None,
    ):
        self.nets, self.losses, self.keep_key = nets, losses, keep_key
        self.rebuild, self.load, self.labels = rebuild, load, labels
        self.held_out, self.options, self.device = held_out, options, device
        self.seed, self.n_epochs = seed, n_epochs
        self.index = np.setdiff1d(np.arange(len(labels)), held_out)
        self.sampler = np.random.default_rng(seed)
        self.rng = generator(seed, device)
        self.history: list[dict] = []
        self._weights = {
            name: [w for w in net.parameters() if w.requires_grad]
            for name, net in nets.items()
        }
        self.trimming = Trimming(options.trim, labels)

    def run(self, stage: Stage, n_epochs: int, statistics: Mapping[str, Any]) -> None:
        """Train one stage.

        Parameters
        ----------
        stage : Stage

        n_epochs : int

        statistics : Mapping
            Handed to the hooks as ``t.statistics``.

        Raises
        ------
        FloatingPointError
            If a loss is not finite; the message names networks, epoch and step.
        """
        trained = list(stage.trains or self.nets)
        self._optimizers: dict[str, torch.optim.Optimizer] = {}
        self._averages: dict[str, dict[str, Tensor]] = {}
        self._n_averaged: dict[str, int] = {}
        for name in self.nets:
            self._freeze(name, name not in trained)
        best, step = _Best(), 0
        patience = self.options.early_stopping if stage.stops_early else None
        self._trims = stage.trims and self.options.trim > 0
        n_batches = self._n_batches()
        n_steps = n_epochs * n_batches
        epochs = tqdm(
            range(n_epochs), desc=stage.name, unit="epoch",
            disable=not self.options.verbose,
        )  # fmt: skip
        told = tracked(
            epochs, "epoch", self.n_epochs or n_epochs, first=len(self.history)
        )
        for epoch in told:
            totals = _Means()
            self._train_mode(trained)
            for index in tracked(self._batches(), "step", n_batches):
                t = Context(
                    self.rng, epoch=epoch, step=step, progress=step / n_steps,
                    stage=stage.name, statistics=statistics,
                )  # fmt: skip
                self._step(index, t, trained, totals)
                step += 1
            record = {"stage": stage.name, "epoch": epoch, **totals.means()}
            if patience is not None:
                record["validation"] = self._validate(t)
                best.offer(record["validation"], self._state)
            self.history.append(record)
            epochs.set_postfix({k: v for k, v in record.items() if type(v) is float})
            if patience is not None and best.waited >= patience:
                break
        self._load_state(best.state or self._state())
        for name in self.nets:
            self._freeze(name, True)
        self._train_mode([])

    def _step(self, index, t, trained, totals):
        x = self.load(index)
        if self._trims:
            errors = self._errors_of(x, index, t)
            keep = self.trimming.keep(errors, index, t.progress)
            x, index = x[torch.from_numpy(keep).to(self.device)], index[keep]
        t = _with_batch(t, self.labels, index, self.device)
        losses = self.losses(self.nets, x, t)
        while True:
            with autocast(self.device, self.options.precision):
                found = next(losses, None)
                if found is None:
                    return
                names, loss = found
                reset = loss is RESET
                if not reset:
                    loss = loss.float().mean()
            unknown = [name for name in names if name not in trained]
            if unknown:
                raise ValueError(
                    f"The networks trained in stage {t.stage!r} are {trained}, but a "
                    f"loss was yielded for {unknown[0]!r}."
                )
            if reset:
                self._reset(names)
                continue
            value = loss.item()
            if not np.isfinite(value):
                raise FloatingPointError(
                    f"The loss of {' and '.join(names)} became {value} in epoch "
                    f"{t.epoch}, step {t.step} of stage {t.stage!r}. Lower lr "
                    f"({self.options.lr}), set clip_grad, or scale X."
                )
            totals.add("+".join(names), value)
            self._descend(names, loss)

    def _descend(self, names, loss):
        weights = [w for name in names for w in self._weights[name]]
        gradients = torch.autograd.grad(loss, weights, allow_unused=True)
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.grad = _laid_out_as(weight, gradient)
        if self.options.clip_grad is not None:
            nn.utils.clip_grad_norm_(weights, self.options.clip_grad)
        for name in names:
            if self._weights[name]:
                self._optimizer(name).step()
            if self.options.ema is not None:
                self._average(name, self.options.ema)
        for weight in weights:
            weight.grad = None

    def _optimizer(self, name):
        if name not in self._optimizers:
            settings = {"lr": self.options.lr, **self.options.optimizers.get(name, {})}
            kind = _OPTIMIZERS[settings.pop("kind", "adam")]
            self._optimizers[name] = kind(self._weights[name], **settings)
        return self._optimizers[name]

    def _freeze(self, name, frozen):
        for weight in self._weights[name]:
            weight.requires_grad_(not frozen)

    def _reset(self, names):
        with local_rng(int(self.sampler.integers(2**31)), self.device):
            fresh = self.rebuild()
        for name in names:
            self.nets[name].load_state_dict(fresh[name].state_dict())
            self._optimizers.pop(name, None)
            self._averages.pop(name, None)

    def _average(self, name, ema):
        state = self.nets[name].state_dict()
        if name not in self._averages:
            self._averages[name] = {key: v.clone() for key, v in state.items()}
            self._n_averaged[name] = 0
            return
        average = self._averages[name]
        self._n_averaged[name] += 1
        # early averages forget faster: they begin at the random weights
        n_steps = self._n_averaged[name]
        decay = min(ema, (1 + n_steps) / (10 + n_steps))
        for key, value in state.items():
            if value.is_floating_point():
                average[key].lerp_(value, 1 - decay)
            else:
                average[key].copy_(value)

    def _state(self):
        """Return the weights to score with: averaged ones where there are any."""
        return {
            name: {
                key: self._averages.get(name, {}).get(key, value).clone()
                for key, value in net.state_dict().items()
            }
            for name, net in self.nets.items()
        }

    def _load_state(self, state):
        for name, net in self.nets.items():
            net.load_state_dict(state[name])

    def _validate(self, t):
        """Return the mean error of the held-out samples."""
        now = None
        if self.options.ema is not None:
            now = {n: copy.deepcopy(net.state_dict()) for n, net in self.nets.items()}
            self._load_state(self._state())
        errors = []
        for index in chunks(self.held_out, self.options.batch_size):
            errors.append(self._errors_of(self.load(index), index, t))
        if now is not None:
            self._load_state(now)
        return float(np.concatenate(errors).mean())

    def _errors_of(self, x, index, t):
        """Return ``keep_key`` of a batch, in eval mode, and go on as before."""
        modes = {name: net.training for name, net in self.nets.items()}
        self._train_mode([])
        t = _with_batch(t, self.labels, index, self.device)
        t = replace(t, rng=generator(self.seed, self.device))
        with torch.no_grad(), autocast(self.device, "float32"):
            errors = self.keep_key(self.nets, x, t).cpu().double().numpy()
        self._train_mode([name for name, training in modes.items() if training])
        return errors

    def _train_mode(self, names):
        for name, net in self.nets.items():
            net.train(name in names and bool(self._weights[name]))

    def _n_batches(self):
        return len(list(self._plan(np.random.default_rng(0))))

    def _batches(self):
        return self._plan(self.sampler)

    def _plan(self, rng):
        return batches(
            self.index, self.labels[self.index], self.options.batch_size, rng,
            balance=self.options.balance, min_batch=self.options.min_batch,
        )  # fmt: skip


def _with_batch(t, labels, index, device):
    y = torch.from_numpy(labels[index]).to(device)
    return replace(t, y=y, index=torch.from_numpy(index).to(device))


def _laid_out_as(weight, gradient):
    """Return a gradient with the strides of its weight.

    Fused optimizers read both as they lie in memory, and those of transposed
    convolutions come in another order.
    """
    if gradient is None or gradient.stride() == weight.stride():
        return gradient
    return torch.empty_like(weight).copy_(gradient)


class _Means:
    """Running means by name."""

    def __init__(self):
        self._values: dict[str, list[float]] = {}

    def add(self, name: str, value: float) -> None:
        self._values.setdefault(name, []).append(value)

    def means(self) -> dict[str, float]:
        return {name: float(np.mean(values)) for name, values in self._values.items()}


class _Best:
    """The weights of the epoch with the least validation error."""

    def __init__(self):
        self.error, self.state, self.waited = np.inf, None, 0

    def offer(self, error: float, state: Callable[[], dict]) -> None:
        if error < self.error:
            self.error, self.state, self.waited = error, state(), 0
        else:
            self.waited += 1
