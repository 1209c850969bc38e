"""Which frozen network a transformer runs: its weights, its engine, its precision."""

import os
from typing import TYPE_CHECKING, Any

from sklearn.utils import Tags

from featad.errors import WeightsChangedError
from featad.features.base import ImageFeatures, as_tuple
from featad.features.vgg_layers import FINGERPRINT, GENERATED

if TYPE_CHECKING:
    from featad.features.described import Described
    from featad.features.extractor import Summary
    from featad.features.quantization import Quantized


class FrozenNetwork(ImageFeatures):
    """Finds the network of a transformer, and checks that it is the one of ``fit``."""

    arch: str
    layer: str | tuple[str, ...] | None
    weights: str | os.PathLike | None
    preprocessing: str | None
    image_size: int | tuple[int, int] | None
    crop: bool
    device: str
    engine: str
    precision: str
    max_value: float | None
    truncated: str
    decode: str
    random_state: int | None

    def check_weights(self) -> None:
        """Find the weights and compare their fingerprint with the one of ``fit``.

        Raises
        ------
        WeightsNotFoundError
            If they are not on this machine and cannot be downloaded.

        WeightsChangedError
            If their fingerprint is another.
        """
        self._check_parameters()
        self._checked_extractor()

    def _layers(self) -> tuple[str | None, ...]:
        return as_tuple(self.layer)

    def _reading(self) -> dict[str, Any]:
        """Return what decides the pixels, as arguments of `read_image`."""
        from featad.features.weights import preset  # torch: slow to import

        how = self.image_size, self.crop, self.max_value, self.truncated, self.decode
        return preset(self.arch, self.weights).reading(*how)

    def _shapes(self, extractor: "Described") -> dict[str, tuple[int, ...]]:
        return extractor.shapes(self._reading()["size"])

    def _find_extractor(self, is_fitted: bool = False) -> "Described":
        from featad.features.described import describe  # torch: slow to import

        return describe(*self._network_key(is_fitted))

    def _described(self) -> "Described":
        """Return the network of these parameters, on a device that is here."""
        return self._find_extractor(hasattr(self, "weights_fingerprint_"))

    def _network_key(self, is_fitted: bool = False) -> tuple:
        """Return the arguments of `load_extractor`."""
        from featad import _device  # torch: slow to import
        from featad.features.engines import resolve_engine
        from featad.features.weights import find_weights

        resolve = _device.usable_device if is_fitted else _device.resolve_device
        precision = self._precision_name()
        on_cpu = self.engine == "openvino" or precision == "int8"
        device = resolve("cpu" if on_cpu and self.device == "auto" else self.device)
        engine = resolve_engine(self.engine, device, precision)
        found = find_weights(
            self.arch, self._weights_now(), self.random_state, self.preprocessing
        )
        return found, self._layers(), device, engine

    def _weights_now(self) -> str | os.PathLike | None:
        """Return which weights are meant: fits of the first vgg_mini go on with it."""
        is_first = getattr(self, "weights_fingerprint_", None) == FINGERPRINT
        return GENERATED if is_first and self.weights == "default" else self.weights

    def _checked_extractor(self) -> "Described":
        extractor = self._described()
        expected = getattr(self, "weights_fingerprint_", extractor.fingerprint)
        if extractor.fingerprint != expected:
            raise WeightsChangedError(
                f"{type(self).__name__} was fitted with {self.arch} weights of "
                f"fingerprint {expected[:12]}, but weights={str(self.weights)!r} has "
                f"{extractor.fingerprint[:12]} here. Pass the weights and the "
                "preprocessing it was fitted with, or fit again."
            )
        return extractor

    def _fingerprint(self, extractor: "Described", summary: "Summary") -> str:
        return extractor.identify(self._reading(), summary, self._rounding())

    def _precision_name(self) -> str:
        """Return the precision, float32 where it was not chosen yet."""
        if self.precision != "auto":
            return self.precision
        return getattr(self, "precision_", "float32")

    def _rounding(self) -> "str | Quantized":
        """Return the precision as extractors take it."""
        from featad.features.precision import precision_now  # torch: slow to import

        return precision_now(self)

    def _learns(self) -> bool:
        """Return whether ``fit`` reads images: whether the precision needs some."""
        return self.precision in ("int8", "auto")

    def _check_parameters(self) -> None:
        from featad.features.presets import check_arch  # torch: slow to import

        self._validate_params()
        check_arch(self.arch)
        layers = as_tuple(self.layer)
        if not layers or len(set(layers)) < len(layers):
            self._refuse("layer", "one name or several different ones")
        self._check_pair("image_size", "a number of pixels or (height, width)")

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.requires_fit = self._learns()
        return tags
