"""Pretrain ``vgg_mini``'s first edition by contrast of two views of generated pictures.

Stops and resumes at checkpoints. On the CPU the same arguments and the same number of
threads give the same weights bit for bit, whether interrupted or not.
"""

from pathlib import Path

import torch
from torch import nn

from featad.features.vgg_mini_generated import GeneratedVGGMini, fold_batch_norm
from pipelines._recipe import run
from pipelines.pretraining.rendering import rendered
from pipelines.pretraining.running import (
    Parser,
    positive,
    read_checkpoint,
    reproducible,
    train,
    write,
)
from pipelines.pretraining.views import nt_xent, random_views

MIN_CROP = 15  # pixels below which the network does not run

STAGES = {
    "middle": {"conv2_2": 128, "conv3_1": 256},
    "last": {"conv3_2": 256, "conv4_1": 512},
}
"""The stages each contrast sees, with their channels."""

MAX_NORM = 5.0  # of the gradient

TOLD = {
    "images": "generated only; no photograph was seen",
    "limits": (
        "Textures, shapes and their flaws. Not trained on objects, faces, scenes "
        "or writing: where what an image shows matters more than how its surface "
        "looks, networks trained on ImageNet know more."
    ),
}
"""What the card says beside the recipe."""


def main(argv=None):
    """Render the pictures, train or resume, and write the weights and their card."""
    args = _parser().parse_args(argv)
    if args.device == "auto":
        args.device = "cuda" if torch.cuda.is_available() else "cpu"
    Path(args.out).mkdir(parents=True, exist_ok=True)
    checkpoint = read_checkpoint(args)
    images = rendered(args.out, args.seed, args.count, args.image_size, args.workers)
    with reproducible(args.seed, args.threads, args.device):
        learner = Learner().to(args.device)
        optimizer = _optimizer(learner, args)

        def step(number):
            return _step(learner, optimizer, _batch(images, number, args), args)

        seconds = train(learner, optimizer, step, args, checkpoint)
        folded = fold_batch_norm(learner.network.cpu().eval())
        write(folded.state_dict(), "vgg_mini_generated", args, seconds, TOLD)


def _parser():
    parser = Parser(__doc__.splitlines()[0], MIN_CROP)
    parser.add("count", 20000, "number of pictures", positive)
    parser.add("steps", 1500, "steps in all", positive)
    parser.add("batch-size", 128, "pictures a step, each seen twice", positive)
    parser.add("learning-rate", 1.6e-3, "of AdamW at its height")
    parser.add("weight-decay", 0.02, "of AdamW, on matrices only")
    parser.add("middle-weight", 0.5, "of the middle stages' contrast; the last have 1")
    parser.add_argument(
        "--precision",
        choices=["bfloat16", "float32"],
        default="bfloat16",
        help="of the convolutions",
    )
    parser.add_argument(
        "--device",
        choices=["auto", "cpu", "cuda"],
        default="auto",
        help="auto: a GPU if there is one; only the CPU repeats bit for bit",
    )
    return parser


class Learner(nn.Module):
    """The network, and heads that bring its statistics to the sphere of a contrast."""

    def __init__(self):
        super().__init__()
        network = GeneratedVGGMini(batch_norm=True)
        self.network = network.to(memory_format=torch.channels_last)
        self.heads = nn.ModuleDict(
            {name: contrast_head(3 * sum(STAGES[name].values())) for name in STAGES}
        )

    def forward(self, x, precision="float32"):
        """Return (n, 128) features of length 1 for each contrast, by name."""
        half = precision == "bfloat16"
        with torch.autocast(x.device.type, torch.bfloat16, enabled=half):
            maps = self.network.stages(x)
        features = {}
        for name, stages in STAGES.items():
            values = [smooth_statistics(maps[stage]) for stage in stages]
            z = self.heads[name](torch.cat(values, 1))
            features[name] = nn.functional.normalize(z, dim=1)
        return features


def contrast_head(n_inputs, n_hidden=512, n_outputs=128):
    """Return the layers that bring statistics to where a contrast compares them."""
    return nn.Sequential(
        nn.BatchNorm1d(n_inputs),
        nn.Linear(n_inputs, n_hidden, bias=False),
        nn.BatchNorm1d(n_hidden),
        nn.ReLU(),
        nn.Linear(n_hidden, n_outputs),
    )


def smooth_statistics(maps, floor=1e-4):
    """Return `featad.features.statistics.statistics` with a slope everywhere.

    The deviation is the root of the variance plus ``floor``: a root alone has no slope
    at 0, where a channel that is off lies. One pass each, without copies of the maps.
    """
    n_positions = maps.shape[2] * maps.shape[3]
    mean = maps.mean((2, 3), dtype=torch.float32)
    length = torch.linalg.vector_norm(maps, dim=(2, 3), dtype=torch.float32)
    variance = (length.square() / n_positions - mean.square()).clamp(min=0)
    highest = maps.flatten(2).amax(2).float()
    return torch.cat([mean, (variance + floor).sqrt(), highest], 1)


def _optimizer(learner, args):
    matrices = [p for p in learner.parameters() if p.ndim > 1]
    vectors = [p for p in learner.parameters() if p.ndim == 1]
    groups = [
        {"params": matrices, "weight_decay": args.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=args.learning_rate, betas=(0.9, 0.98))


def _batch(images, step, args):
    """Return two views of each picture of a step; only seed and step decide."""
    generator = torch.Generator().manual_seed(args.seed * 1_000_003 + step * 2 + 1)
    chosen = torch.randint(len(images), (args.batch_size,), generator=generator)
    x = torch.from_numpy(images[chosen.unique().numpy()])
    x = x.permute(0, 3, 1, 2).float().div_(255)  # (n, 3, h, w)
    views = [random_views(x, args.crop_size, generator) for _ in range(2)]
    return torch.cat(views).contiguous(memory_format=torch.channels_last)


def _step(learner, optimizer, x, args):
    """Take one step down; return the losses and hit rates before it."""
    total, report = 0.0, {}
    weights = {"middle": args.middle_weight, "last": 1.0}
    for name, z in learner(x.to(args.device), args.precision).items():
        loss, hits = nt_xent(z, args.temperature)
        total = total + weights[name] * loss
        report |= {f"{name}_loss": loss.item(), f"{name}_hits": hits.item()}
    optimizer.zero_grad(set_to_none=True)
    total.backward()
    nn.utils.clip_grad_norm_(learner.parameters(), MAX_NORM)
    optimizer.step()
    return {name: round(value, 4) for name, value in report.items()}


if __name__ == "__main__":
    run(main)
