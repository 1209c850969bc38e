"""Training images per second of learned detectors beside a plain loop of torch.

The plain loop runs the networks and losses of the detector as tutorials write it: Adam
tensor by tensor, images with the channels first, no validation of what comes in. Both
sides take turns in one run. The time of a fit without an epoch is subtracted. Then a
search over a GAN shows how busy two processes keep the processor.
"""

import argparse
import resource
import statistics
import sys
import time
import warnings
from resource import RUSAGE_CHILDREN, RUSAGE_SELF

import numpy as np
import torch
from joblib.externals.loky import get_reusable_executor
from sklearn.model_selection import GridSearchCV

import featad
from benchmarks._report import heading, markdown_table, write
from featad.neural.context import Context

DETECTORS = {
    28: ["Autoencoder", "VAE", "UNetAutoencoder", "GANomaly", "BiGAN", "ALAD"],
    64: ["Autoencoder", "UNetAutoencoder", "CSI", "GANomaly"],
}


def main() -> None:
    """Measure and write ``training.md``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n-images", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    warnings.filterwarnings("ignore", message="CSI names the shift")  # of noise
    rows = []
    for size, names in DETECTORS.items():
        shape = (args.n_images, size, size, 3 if size > 28 else 1)
        X = np.random.default_rng(0).random(shape, dtype=np.float32)
        for name in names:
            ours, plain = _rates(getattr(featad, name), X, args)
            ratios = [a / b for a, b in zip(ours, plain, strict=True)]
            rates = [f"{statistics.median(rate):.0f}" for rate in (ours, plain)]
            spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
            ratio = f"{statistics.median(ratios):.2f}"
            rows.append([name, f"{size} x {size}", *rates, ratio, spread])
            print(*rows[-1], file=sys.stderr)
    text = heading("Speed of training", "benchmarks.training")
    text += (
        f"\n{args.n_images} images, batches of 64, {args.epochs} epochs, "
        f"{torch.get_num_threads()} threads, median of {args.rounds} rounds in turns. "
        "The plain loop runs the same networks and losses with the channels first, and "
        "Adam tensor by tensor.\n\n"
    )
    header = ["detector", "images", "featad, images/s", "plain loop, images/s"]
    text += markdown_table([*header, "ratio", "of the rounds"], rows)
    busy, seconds = _search(args.n_images)
    text += (
        f"\n`GridSearchCV(n_jobs=2)` over 8 fits of `BiGAN` (28 x 28 pixels, 40 "
        f"epochs): {seconds:.0f} s, start of the processes included, in which two "
        f"cores were busy for {100 * busy:.0f} % of the time.\n"
    )
    write("training.md", text)


def _rates(cls, X, args):
    """Return images per second of each round, ours and of the plain loop."""
    ours, plain = [], []
    for _ in range(args.rounds):
        for rates, fit in ((ours, _fit), (plain, _plain)):
            _seconds(fit, cls, X, 1)  # warm up
            none, all_ = (_seconds(fit, cls, X, n) for n in (0, args.epochs))
            rates.append(len(X) * args.epochs / (all_ - none))
    return ours, plain


def _seconds(fit, cls, X, n_epochs):
    detector = cls(max_epochs=n_epochs, batch_size=64, device="cpu", random_state=0)
    start = time.perf_counter()
    fit(detector, X)
    return time.perf_counter() - start


def _fit(detector, X):
    detector.fit(X)


def _plain(detector, X):
    n_epochs, detector = detector.max_epochs, detector.set_params(max_epochs=0).fit(X)
    x_all = torch.from_numpy(np.ascontiguousarray(X.transpose(0, 3, 1, 2)))
    nets = detector._networks(tuple(x_all.shape[1:]))
    optimizers = {
        name: torch.optim.Adam(net.parameters(), lr=detector.lr, foreach=False)
        for name, net in nets.items()
    }
    rng = torch.Generator().manual_seed(0)
    for epoch in range(n_epochs):
        for index in torch.randperm(len(X), generator=rng).split(64):
            t = Context(
                rng, torch.zeros(len(index)), index, epoch, progress=0.5, stage="main"
            )
            for names, loss in detector._losses(nets, x_all[index], t):
                for optimizer in optimizers.values():
                    optimizer.zero_grad()
                loss.mean().backward()
                for name in names:
                    optimizers[name].step()


def _search(n_images):
    """Return the share of two cores that a search kept busy, and its seconds."""
    X = np.random.default_rng(0).random((n_images, 28, 28, 1), dtype=np.float32)
    y = np.where(np.arange(n_images) < n_images - 20, 1, -1)
    search = GridSearchCV(
        featad.BiGAN(max_epochs=40, device="cpu", random_state=0),
        {"latent_dim": [8, 16, 24, 32]},
        scoring=featad.anomaly_roc_auc,
        cv=featad.OneClassKFold(2, random_state=0),
        n_jobs=2,
        refit=False,
    )
    before, start = _processor_seconds(), time.perf_counter()
    search.fit(X, y)
    get_reusable_executor().shutdown()  # times of workers count once they have ended
    seconds = time.perf_counter() - start
    return (_processor_seconds() - before) / (2 * seconds), seconds


def _processor_seconds():
    """Return seconds of this process and of those it has started that have ended."""
    found = [resource.getrusage(who) for who in (RUSAGE_SELF, RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in found)


if __name__ == "__main__":
    main()
