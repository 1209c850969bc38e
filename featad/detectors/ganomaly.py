"""Anomalous samples are given another code once they are rebuilt."""

from collections.abc import Iterator

from torch import Tensor, nn
from typing_extensions import Unpack

from featad.entry import Entry
from featad.neural.detector import NON_NEGATIVE, Context, StrOptions
from featad.neural.gan_losses import GAN_ADAM, critic_loss
from featad.neural.losses import absolute_error, squared_error
from featad.neural.reconstruction import ReconstructionDetector, ReconstructionOptions
from featad.neural.scores import REDUCTIONS
from featad.neural.training import RESET

_COLLAPSED = 1e-5  # loss of a critic that nothing deceives any more
_AUTOENCODER = ("encoder", "decoder", "second_encoder")


class GANomaly(ReconstructionDetector):
    """Score a sample by how far its code moves when it is rebuilt and encoded again.

    An autoencoder rebuilds the sample, a second encoder encodes the result, and a
    critic distinguishes real samples from rebuilt ones.

    Parameters
    ----------
    latent_dim : int, default=64
        Length of both codes.

    adversarial_weight : float, default=1.0
        Weight of the squared error in the critic's last hidden layer.

    reconstruction_weight : float, default=50.0
        Weight of the absolute error of the reconstruction.

    latent_weight : float, default=1.0
        Weight of the squared difference between the two codes.

    score_by : {"latent", "relative", "mean", "top1%", "max"}, default="latent"
        ``"latent"`` is the mean squared difference between the two codes. The other
        values reduce the map of absolute errors. ``"relative"`` divides their mean, for
        images in [0, 1], by the root of the image's own mean, because dark or empty
        images have small errors even when they are anomalous.

    Notes
    -----
    The autoencoder and the second encoder take a step, then the critic, which is reset
    at a loss below 0.00001. Maps are absolute errors. The default is the paper's score.

    Differs from the paper: scores are squared, not absolute, differences of the codes.
    The authors' code divides scores by their range over the test set and keeps the
    epoch that is best on it. Here a score depends only on its sample, and the last
    weights are kept.

    References
    ----------
    .. [1] Akcay, Atapour-Abarghouei and Breckon, "GANomaly: semi-supervised anomaly
       detection via adversarial training", ACCV 2018, arXiv 1805.06725.

    Examples
    --------
    >>> import numpy as np
    >>> from featad.detectors import GANomaly
    >>> X = np.random.default_rng(0).random((40, 1)) * np.ones(6)  # on a line
    >>> options = {"score_by": "relative", "max_epochs": 100, "random_state": 0}
    >>> detector = GANomaly(latent_dim=1, width=8, **options).fit(X)
    >>> detector.predict([[0.5] * 6, [0, 1, 0, 1, 0, 1]])
    array([ 1, -1])
    """

    _entry = Entry(
        "ganomaly",
        "given another code once it is rebuilt",
        "Akcay et al. 2018",
        grid={"detector__latent_dim": [16, 64], "detector__latent_weight": [1.0, 10.0]},
    )
    _parameter_constraints: dict = {
        **ReconstructionDetector._parameter_constraints,
        "adversarial_weight": [NON_NEGATIVE],
        "reconstruction_weight": [NON_NEGATIVE],
        "latent_weight": [NON_NEGATIVE],
        "score_by": [StrOptions({"latent", *REDUCTIONS})],
    }

    _defaults = {"score_by": "latent", "dense": True, "max_epochs": 200}
    _optimizers = dict.fromkeys((*_AUTOENCODER, "critic"), GAN_ADAM)
    _error = "l1"

    def __init__(
        self, latent_dim=64, *, adversarial_weight=1.0, reconstruction_weight=50.0,
        latent_weight=1.0,
        **options: Unpack[ReconstructionOptions],
    ):  # fmt: skip
        super().__init__(latent_dim, **{**GANomaly._defaults, **options})
        self.adversarial_weight = adversarial_weight
        self.reconstruction_weight = reconstruction_weight
        self.latent_weight = latent_weight

    def _networks(self, shape: tuple[int, ...]) -> dict[str, nn.Module]:
        nets = super()._networks(shape) | {"second_encoder": self._encoder(shape)}
        return nets | {"critic": self._critic(shape)}

    def _losses(self, nets: dict, x: Tensor, t: Context) -> Iterator[tuple]:
        code, rebuilt, second = self._pass(nets, x)
        (_, real_tap), (_, fake_tap) = nets["critic"](x), nets["critic"](rebuilt)
        loss = self.adversarial_weight * squared_error(fake_tap, real_tap)
        loss = loss + self.reconstruction_weight * absolute_error(rebuilt, x)
        yield _AUTOENCODER, loss + self.latent_weight * squared_error(second, code)
        (real, _), (fake, _) = nets["critic"](x), nets["critic"](rebuilt.detach())
        loss = 0.5 * critic_loss(real, fake).mean()
        yield ("critic",), loss
        if loss < _COLLAPSED:
            yield ("critic",), RESET

    def _keep_key(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        return absolute_error(self._rebuilt(nets, x, t), x)

    def _strangeness_of(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        if self.score_by != "latent":
            return super()._strangeness_of(nets, x, t)
        code, _, second = self._pass(nets, x)
        return squared_error(second, code)

    def _pass(self, nets, x):
        """Return code, reconstruction, and the reconstruction's code."""
        code = nets["encoder"](x)
        rebuilt = nets["decoder"](code)
        return code, rebuilt, nets["second_encoder"](rebuilt)
