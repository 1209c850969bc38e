"""What tests ask of the inside of a detector that trains networks: the one place."""

import torch

from featad.neural.context import Context


def to_tensor(detector, X):
    """Return samples as the networks of a fitted detector see them."""
    return detector._to_tensor(X)


def build(detector):
    """Return the networks of a fitted detector as they were before training."""
    return detector._build()


def context(detector):
    """Return the context in which a fitted detector scores."""
    return detector._context(torch.device("cpu"))


def losses_of(detector, X, y=None):
    """Yield (names, loss, networks) as a training would, without stepping."""
    nets = build(detector)
    rng = torch.Generator().manual_seed(0)
    t = Context(rng, y=None if y is None else torch.as_tensor(y))
    for names, loss in detector._losses(nets, to_tensor(detector, X), t):
        yield names, loss, nets
