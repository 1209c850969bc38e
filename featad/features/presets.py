"""How images are prepared for a network: it follows the weights, not only the name."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, TypeGuard

from featad.features import vgg_mini, vgg_mini_generated
from featad.features.vgg_layers import GENERATED, PACKAGED

DEFAULT = "DEFAULT"
"""torchvision's name of the best published set of a network."""

CONVOLUTIONS = "IMAGENET1K_FEATURES"
"""torchvision's set that holds convolutions only: NaN stands for everything else."""

# mean and deviation of pixels in [0, 1], and the order in which channels enter
_CHANNELS: dict[str, dict[str, Any]] = {
    "imagenet": {
        "mean": (0.485, 0.456, 0.406),
        "std": (0.229, 0.224, 0.225),
        "channel_order": "rgb",
    },
    "caffe": {  # BGR in 0 to 255, minus the mean
        "mean": (123.68 / 255, 116.779 / 255, 103.939 / 255),
        "std": (1 / 255, 1 / 255, 1 / 255),
        "channel_order": "bgr",
    },
}


@dataclass(frozen=True)
class Preset:
    """How images are prepared for a network.

    Attributes
    ----------
    crop_size, resize_size : int
        Pixels that enter the network, and of the shorter side before the crop.

    min_size : int
        Pixels below which the whole network does not run, as torchvision states it.

    mean, std : tuple of three floats
        Of red, green and blue, of pixels in [0, 1].

    interpolation : {"bilinear", "bicubic"}

    channel_order : {"rgb", "bgr"}
        The order in which the network takes the three channels.
    """

    crop_size: int
    resize_size: int
    min_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str
    channel_order: str = "rgb"

    def reading(
        self,
        image_size: int | Sequence[int] | None = None,
        crop: bool = False,
        max_value: float | None = None,
        truncated: str = "raise",
        decode: str = "exact",
    ) -> dict[str, Any]:
        """Return how images are read for the network, as arguments of `read_image`.

        Parameters
        ----------
        image_size, crop, max_value, truncated, decode
            As for `BackboneFeatures`.
        """
        size = self.crop_size if image_size is None else image_size
        height, width = size if isinstance(size, Sequence) else (size, size)
        pair = int(height), int(width)
        reading: dict[str, Any] = {"size": pair, "interpolation": self.interpolation}
        if crop:
            reading["crop_from"] = self.resize_size * max(pair) // self.crop_size
        if max_value is not None:
            reading["max_value"] = float(max_value)
        if truncated != "raise":
            reading["truncated"] = truncated
        if decode != "exact":
            reading["decode"] = decode
        return reading


def check_arch(arch: str) -> None:
    """Refuse a name that is none of the networks that turn images into features.

    Raises
    ------
    ValueError
        With the names that come close.
    """
    if arch == PACKAGED:
        return
    known = all_archs()
    if arch not in known:
        near = get_close_matches(str(arch), known, n=3)
        hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else "."
        raise ValueError(
            f"arch should be {PACKAGED!r} or the name of one of torchvision's "
            f"classification networks, got {arch!r}{hint}"
        )


def all_archs() -> list[str]:
    """Return the names of all networks that turn images into features."""
    from torchvision import models  # slow to import

    return [PACKAGED, *models.list_models(module=models)]


def is_set_name(weights: Any) -> TypeGuard[str]:
    """Return whether weights are given by torchvision's name of a published set.

    Examples
    --------
    >>> from featad.features.presets import is_set_name
    >>> is_set_name("IMAGENET1K_V1"), is_set_name("vgg16.pth"), is_set_name(None)
    (True, False, False)
    """
    return weights in ("default", GENERATED) or (
        isinstance(weights, str)
        and (weights == DEFAULT or weights.startswith("IMAGENET1K_"))
    )


def published_sets(arch: str) -> dict[str, Any]:
    """Return torchvision's published sets of a network by name, the default first."""
    from torchvision.models import get_model_weights  # slow to import

    sets = get_model_weights(arch)
    return {sets.DEFAULT.name: sets.DEFAULT} | {one.name: one for one in sets}


def published_set(arch: str, name: str = DEFAULT) -> Any:
    """Return one of torchvision's published sets of weights.

    Parameters
    ----------
    arch : str
        Name of a torchvision classification network.

    name : str, default="DEFAULT"
        ``"DEFAULT"``, ``"default"``, or torchvision's name, such as
        ``"IMAGENET1K_V1"``.

    Returns
    -------
    published : torchvision.models.WeightsEnum member

    Raises
    ------
    ValueError
        With the names there are.
    """
    check_arch(arch)
    if arch == PACKAGED:
        raise ValueError(
            f"weights should be 'default', {GENERATED!r}, a file or None for "
            f"{PACKAGED}, which torchvision does not publish; got {name!r}."
        )
    sets = published_sets(arch)
    name = next(iter(sets)) if name in (DEFAULT, "default") else name
    if name not in sets:
        raise ValueError(
            f"torchvision publishes {', '.join(sets)} for {arch}; got weights={name!r}."
        )
    return sets[name]


def preset_of_set(
    arch: str, name: str = DEFAULT, preprocessing: str | None = None
) -> Preset:
    """Return how images are prepared for a published set of weights.

    Parameters
    ----------
    arch : str
        ``"vgg_mini"``, or the name of a torchvision classification network.

    name : str, default="DEFAULT"
        As for `published_set`.

    preprocessing : {"imagenet", "caffe"} or None, default=None
        Mean, deviation and channel order to take in place of the set's own.

    Returns
    -------
    preset : Preset
    """
    if arch == PACKAGED:
        mean, std, size = vgg_mini.MEAN, vgg_mini.STD, vgg_mini.SIZE
        edition = vgg_mini_generated if name == GENERATED else vgg_mini
        usual = Preset(size, size, edition.MIN_SIZE, mean, std, "bilinear")
    else:
        published = published_set(arch, name)
        transforms = published.transforms()
        usual = Preset(
            crop_size=transforms.crop_size[0],
            resize_size=transforms.resize_size[0],
            min_size=max(published.meta.get("min_size", (1, 1))),
            mean=tuple(transforms.mean),
            std=tuple(transforms.std),
            interpolation=transforms.interpolation.value,
        )
    if preprocessing is None:
        return usual
    if preprocessing not in _CHANNELS:
        raise ValueError(
            f"preprocessing should be None or one of {', '.join(_CHANNELS)}; got "
            f"{preprocessing!r}."
        )
    return replace(usual, **_CHANNELS[preprocessing])
