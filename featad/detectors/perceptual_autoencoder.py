"""Anomalous samples are poorly rebuilt as a frozen network sees them."""

import os
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import Unpack

from featad.entry import Entry
from featad.features.graph import cut, has_channels_last, node_names
from featad.features.layers import check_layer, default_layers, vgg_nodes
from featad.features.weights import find_weights, read_network, warn_of_assumption
from featad.neural.detector import Context, Stage, StrOptions
from featad.neural.losses import TINY, relative_perceptual_error
from featad.neural.reconstruction import ReconstructionDetector, ReconstructionOptions

_EARLY = {"vgg_mini": "conv2_2"}  # later maps of small images have hardly any places


class PerceptualAutoencoder(ReconstructionDetector):
    """Score an image by how the features of its reconstruction differ from its own.

    Parameters
    ----------
    arch : str, default="vgg_mini"
        Name of the network whose features are compared: ``"vgg_mini"``, whose weights
        ship with featad, or one of torchvision's classification networks. It is frozen,
        and loaded again instead of being pickled.

    layer : str, tuple of str or None, default=None
        Where its features are taken, by the names of
        :func:`featad.features.layer_names`. None: conv2_2 of vgg_mini, the middle layer
        of another network.

    weights : str, path-like or None, default="default"
        ``"default"`` for vgg_mini's own or torchvision's published weights,
        torchvision's name of a published set, such as ``"IMAGENET1K_V1"``, a .pth or
        .safetensors file, or None for random weights, which are for tests.

    preprocessing : {"imagenet", "caffe"} or None, default=None
        Scale and channel order of the pixels that enter the network. None: as for the
        published weights. ``"caffe"``: BGR from 0 to 255 minus the mean, for files of
        weights from Caffe or Keras.

    score_by : {"mean", "top1%", "max"}, default="mean"
        How the map becomes the sample's score: the mean, the mean of the largest
        hundredth, or the largest value. The default is ``"mean"``, the loss itself.
        There is no ``"relative"``: the errors are relative to the image's features
        already.

    Notes
    -----
    The loss is computed for each layer: the mean absolute difference between the
    features of image and reconstruction, divided by the mean absolute feature of the
    image. Its mean over the layers is minimized; no pixel error is added. The map is
    the same before the mean over the places, enlarged to the size of the image.

    Errors are relative to the image's own features. Where these are far larger than
    those of normal images, nothing of them is rebuilt, and the score is about 1, not
    more.

    Tables have no such features: their standardized values are compared directly.

    Differs from the paper: features are standardized, channel by channel, by their mean
    and deviation over the training images, not over ImageNet's; networks do not grow
    during training.

    References
    ----------
    .. [1] Shvetsova et al., "Anomaly detection in medical imaging with deep perceptual
       autoencoders", IEEE Access 2021, arXiv 2006.13265.

    Examples
    --------
    >>> import numpy as np
    >>> from featad.detectors import PerceptualAutoencoder
    >>> X = np.random.default_rng(0).random((8, 1, 1, 3)) * np.ones((8, 16, 16, 3))
    >>> detector = PerceptualAutoencoder(
    ...     arch="squeezenet1_1", layer="features.4", weights=None, width=4,
    ...     max_epochs=2, random_state=0,
    ... )
    >>> detector.fit(X).anomaly_map(X).shape
    (8, 16, 16)
    """

    _entry = Entry(
        "perceptual",
        "poorly rebuilt as a frozen network sees it",
        "Shvetsova et al. 2021",
        grid={"detector__latent_dim": [16, 32, 64]},
    )
    _parameter_constraints: dict = {
        **ReconstructionDetector._parameter_constraints,
        "arch": [str],
        "layer": [str, tuple, list, None],
        "weights": [str, os.PathLike, None],
        "preprocessing": [StrOptions({"imagenet", "caffe"}), None],
        "score_by": [StrOptions({"mean", "top1%", "max"})],
    }

    _defaults = {
        "score_by": "mean",
        "max_epochs": 100,
        "batch_size": 16,
        "score_batch_size": 32,
    }
    _untrained = 0  # epochs of the first stage, which only measures
    _stages = (Stage("measure", "_untrained"), Stage("main"))

    def __init__(
        self, latent_dim=32, *, arch="vgg_mini", layer=None, weights="default",
        preprocessing=None,
        **options: Unpack[ReconstructionOptions],
    ):  # fmt: skip
        super().__init__(latent_dim, **{**PerceptualAutoencoder._defaults, **options})
        self.arch = arch
        self.layer = layer
        self.weights = weights
        self.preprocessing = preprocessing

    def _networks(self, shape: tuple[int, ...]) -> dict[str, nn.Module]:
        image = len(shape) == 3
        if image and not (self._in_unit_range and shape[0] in (1, 3)):
            raise ValueError(
                "PerceptualAutoencoder needs images in [0, 1] of 1 or 3 channels, or a "
                f"table; got samples of shape {self.sample_shape_}"
                f"{'' if self._in_unit_range else ' with other values'}."
            )
        nets = super()._networks(shape)
        if image:
            found = find_weights(
                self.arch, self.weights, preprocessing=self.preprocessing
            )
            nets["backbone"] = _Taps(found, self.layer, shape)
        return nets

    def _fit_statistics(
        self, nets: dict, batches: Iterable[Tensor], t: Context
    ) -> dict[str, Any]:
        if t.stage != "measure" or "backbone" not in nets:
            return {}
        warn_of_assumption(nets["backbone"].found, self)
        sums, n = [], 0
        for x in batches:
            maps = [tap.flatten(2) for tap in nets["backbone"](x)]  # (n, channels, h*w)
            means = [torch.stack([m.mean(2), (m**2).mean(2)]).sum(1) for m in maps]
            sums.append(torch.cat(means, dim=1))
            n += len(x)
        center, square = sum(sums[1:], sums[0]) / n
        spread = (square - center**2).clamp_min(0).sqrt()
        # a channel that was silent must not outweigh its layer when it speaks
        layers = spread.split([m.shape[1] for m in maps])
        floor = torch.cat([layer.mean().expand_as(layer) for layer in layers])
        return {"center": center, "spread": spread + 0.1 * floor + TINY}

    def _losses(self, nets: dict, x: Tensor, t: Context) -> Iterator[tuple]:
        yield ("encoder", "decoder"), relative_perceptual_error(*self._taps(nets, x, t))

    def _strangeness_of(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        if self.score_by == "mean":
            return relative_perceptual_error(*self._taps(nets, x, t))
        return super()._strangeness_of(nets, x, t)

    def _map_of(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        maps = []
        for tap, target in zip(*self._taps(nets, x, t), strict=True):
            error = (tap - target).abs() / _mean_size(target)
            if x.ndim == 4:
                error = error.mean(dim=1, keepdim=True)
                error = F.interpolate(error, x.shape[2:], mode="bilinear")[:, 0]
            maps.append(error)
        return torch.stack(maps).mean(dim=0)

    def _taps(self, nets, x, t):
        """Return standardized features of the reconstruction and of the sample."""
        rebuilt = self._rebuilt(nets, x, t)
        if "backbone" not in nets:
            return [rebuilt], [x]
        center = t.statistics["center"].view(-1, 1, 1)
        spread = t.statistics["spread"].view(-1, 1, 1)

        def standardized(image):
            taps, start = [], 0
            for tap in nets["backbone"](image):
                own = slice(start, start + tap.shape[1])
                taps.append((tap - center[own]) / spread[own])
                start = own.stop
            return taps

        with torch.no_grad():
            targets = standardized(x)
        return standardized(rebuilt), targets


def _mean_size(target):
    size = target.abs().flatten(1).mean(dim=1).clamp_min(TINY)
    return size.view(-1, *[1] * (target.ndim - 1))


class _Taps(nn.Module):
    """A frozen network, cut off: images to the maps of some layers, as a list."""

    mean: Tensor
    std: Tensor

    def __init__(self, found, layer, shape):
        super().__init__()
        self.found, arch = found, found.arch
        if layer is None:
            layer = _EARLY.get(arch) or default_layers(arch)[1][1]
        layers = [layer] if isinstance(layer, str) else list(layer)
        network, _ = read_network(found)
        names, self.nodes = node_names(network), []
        paper = vgg_nodes(arch, names)
        for name in layers:
            check_layer(arch, name, names)
            self.nodes.append(paper.get(name, name))
        self.part = cut(network, self.nodes)
        self.register_buffer("mean", torch.tensor(found.preset.mean).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(found.preset.std).view(3, 1, 1))
        self._check(shape)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return maps of shape (n, channels, height, width)."""
        x = (x.expand(-1, 3, -1, -1) - self.mean) / self.std
        maps = self.part(x.flip(1) if self.found.preset.channel_order == "bgr" else x)
        return [maps[node] for node in self.nodes]

    def _check(self, shape):
        try:
            maps = self(torch.zeros(1, *shape))
        except (RuntimeError, ValueError) as error:
            raise ValueError(
                f"PerceptualAutoencoder: images of {shape[1]} x {shape[2]} pixels are "
                f"too small for layer {', '.join(self.nodes)}. Enlarge them, or take "
                "an earlier layer."
            ) from error
        for node, tap in zip(self.nodes, maps, strict=True):
            if tap.ndim != 4 or has_channels_last(self.part, node):
                raise ValueError(
                    f"PerceptualAutoencoder needs layers that give maps (n, channels, "
                    f"height, width), but {node} gives {tuple(tap.shape)}."
                )
