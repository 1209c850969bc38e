"""Base of the detectors whose score is the opinion of a GAN's critic."""

from torch import Tensor, nn
from typing_extensions import Unpack

from featad.neural.context import Context
from featad.neural.descent import gradient_map
from featad.neural.detector import NON_NEGATIVE
from featad.neural.gan_losses import GAN_ADAM
from featad.neural.latent import LatentDetector, LatentOptions


class CriticOptions(LatentOptions, total=False):
    """What ``**options`` of a ``CriticDetector`` may hold."""

    map_sigma: float


class CriticDetector(LatentDetector):
    """Base of detectors that score a sample by the logit of the critic of a GAN.

    It has the networks ``"generator"`` and ``"critic"``; a subclass writes ``_losses``.
    The strangeness is the negated logit, the map the absolute gradient of the logit
    with respect to each pixel, blurred.

    Parameters
    ----------
    map_sigma : float, default=1.0
        Standard deviation, in pixels, of the Gaussian blur applied to maps.
    """

    _parameter_constraints: dict = {
        **LatentDetector._parameter_constraints,
        "map_sigma": [NON_NEGATIVE],
    }

    _optimizers = {"generator": GAN_ADAM, "critic": GAN_ADAM}

    def __init__(
        self, latent_dim=16, *, map_sigma=1.0, **options: Unpack[LatentOptions]
    ):
        super().__init__(latent_dim, **options)
        self.map_sigma = map_sigma

    def _networks(self, shape: tuple[int, ...]) -> dict[str, nn.Module]:
        return {"generator": self._decoder(shape), "critic": self._critic(shape)}

    def _strangeness_of(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        return -nets["critic"](x)[0]

    def _map_of(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        return gradient_map(lambda image: nets["critic"](image)[0], x, self.map_sigma)
