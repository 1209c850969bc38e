"""Anomalous samples are poorly rebuilt by a bidirectional GAN with cycles."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from featad.entry import Entry
from featad.neural.detector import Context, StrOptions
from featad.neural.gan_losses import GAN_ADAM, adversarial, critic_loss
from featad.neural.losses import absolute_error
from featad.neural.reconstruction import ReconstructionDetector, ReconstructionOptions
from featad.neural.scores import REDUCTIONS

_CRITICS = ("pair_critic", "sample_critic", "code_critic")


class ALAD(ReconstructionDetector):
    """Score a sample by its error after a bidirectional GAN with cycles (ALAD).

    A bidirectional GAN, as in :class:`BiGAN`, with two more critics. One distinguishes
    (sample, sample) from (sample, reconstruction), the other (noise, noise) from
    (noise, noise after the decoder and the encoder). They make encoder and decoder the
    inverse of each other.

    Parameters
    ----------
    score_by : {"relative", "mean", "top1%", "max", "features", "logit"}, \
default="relative"
        ``"features"`` is the mean absolute difference between (sample, reconstruction)
        and (sample, sample) in the last hidden layer of the critic of samples;
        ``"logit"`` is the cross-entropy of taking the former for the latter. The other
        values reduce the map of absolute errors. ``"relative"`` divides their mean, for
        images in [0, 1], by the root of the image's own mean, because dark or empty
        images have small errors even when they are anomalous.

    Notes
    -----
    The weights of the encoder and the critics are divided by their spectral norm.
    Scores use running averages of the weights (``ema``). Maps are the absolute error of
    each pixel.

    Differs from the paper: differences are means, not sums. The paper's score is
    ``"features"``, which distinguishes digits less well.

    References
    ----------
    .. [1] Zenati et al., "Adversarially learned anomaly detection", ICDM 2018,
       arXiv 1812.02288.

    Examples
    --------
    >>> import numpy as np
    >>> from featad.detectors import ALAD
    >>> X = np.random.default_rng(0).random((40, 1)) * np.ones(6)  # on a line
    >>> options = {"lr": 0.005, "max_epochs": 40, "random_state": 0}
    >>> detector = ALAD(latent_dim=1, width=8, **options).fit(X)
    >>> detector.predict([[0.5] * 6, [0, 1, 0, 1, 0, 1]])
    array([ 1, -1])
    """

    _entry = Entry(
        "alad",
        "poorly rebuilt by a bidirectional GAN with cycles",
        "Zenati et al. 2018",
        grid={"detector__latent_dim": [8, 16, 32]},
    )
    _parameter_constraints: dict = {
        **ReconstructionDetector._parameter_constraints,
        "score_by": [StrOptions({*REDUCTIONS, "features", "logit"})],
    }

    _defaults = {"dense": True, "max_epochs": 200, "ema": 0.999}
    _optimizers = dict.fromkeys(("encoder", "decoder", *_CRITICS), GAN_ADAM)
    _error = "l1"

    def __init__(self, latent_dim=16, **options: Unpack[ReconstructionOptions]):
        super().__init__(latent_dim, **{**ALAD._defaults, **options})

    def _networks(self, shape: tuple[int, ...]) -> dict[str, nn.Module]:
        n, two = self.latent_dim, (2 * shape[0], *shape[1:])
        return {
            "encoder": self._encoder(shape, spectral=True),
            "decoder": self._decoder(shape),
            "pair_critic": self._critic(shape, n_extra=n, spectral=True),
            "sample_critic": self._critic(two, spectral=True),
            "code_critic": self._critic((2 * n,), spectral=True),
        }

    def _losses(self, nets: dict, x: Tensor, t: Context) -> Iterator[tuple]:
        z = self._random_codes(len(x), t)
        code, fake = nets["encoder"](x), nets["decoder"](z)
        rebuilt, coded = nets["decoder"](code), nets["encoder"](fake)
        judged = {  # what each critic takes for real, and for generated
            "pair_critic": ((x, code), (fake, z)),
            "sample_critic": ((_two(x, x),), (_two(x, rebuilt),)),
            "code_critic": ((_two(z, z),), (_two(z, coded),)),
        }
        for name, pairs in judged.items():
            logits = (nets[name](*(p.detach() for p in pair))[0] for pair in pairs)
            yield (name,), critic_loss(*logits)
        losses = []
        for name, pairs in judged.items():
            first, second = (nets[name](*pair)[0] for pair in pairs)
            losses += [adversarial(first, real=False), adversarial(second, real=True)]
        yield ("encoder", "decoder"), sum(losses)

    def _strangeness_of(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        return self._difference(nets, x, self._rebuilt(nets, x, t))

    def _difference(self, nets, x, rebuilt):
        """Return how far a reconstruction is from the sample, (n,)."""
        if self.score_by in REDUCTIONS:
            return self._score_of_map(self._error_of(rebuilt, x), x)
        logit, tap = nets["sample_critic"](_two(x, rebuilt))
        if self.score_by == "logit":
            return adversarial(logit, real=True)
        return absolute_error(tap, nets["sample_critic"](_two(x, x))[1])


def _two(one, other):
    return torch.cat([one, other], dim=1)
