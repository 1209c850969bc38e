"""Base of the detectors whose network is a U-Net."""

from numbers import Integral

from featad.neural.detector import Interval, TorchDetector
from featad.neural.networks import UNet, unet


class UNetDetector(TorchDetector):
    """Base of detectors that rebuild or guess samples with a U-Net.

    A subclass makes it by ``_unet(shape)``, which knows the parameters below.

    Parameters
    ----------
    width : int, default=8
        Channels at full size; they double at every halving. A dense layer has 8 times
        as many units.

    depth : int, default=3
        Halvings of an image, or hidden layers before the innermost.
    """

    _parameter_constraints: dict = {
        **TorchDetector._parameter_constraints,
        "width": [Interval(Integral, 1, None, closed="left")],
        "depth": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        *,
        width=8,
        depth=3,
        batch_size=16,
        lr=2e-3,
        max_epochs=30,
        ema=0.99,
        **options,
    ):
        super().__init__(
            batch_size=batch_size, lr=lr, max_epochs=max_epochs, ema=ema, **options
        )
        self.width = width
        self.depth = depth

    def _unet(self, shape, **options) -> UNet:
        size = {"width": self.width, "depth": self.depth}
        return unet(shape, norm="layer", **size, **options)
