"""Teach ``vgg_mini`` what VGG16 sees, and to tell textures apart.

It starts from SqueezeNet 1.1 and learns two things at once: to tell VGG16's maps of
generated pictures, and to tell two views of one picture from views of others. Stops and
resumes at checkpoints. The same arguments and the same number of threads give the same
weights bit for bit, whether interrupted or not.
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from featad.features.vgg_mini import MEAN, MIN_SIZE, STD, VGGMini
from featad.features.weights import load_network
from pipelines._recipe import run
from pipelines.pretraining import teacher
from pipelines.pretraining.contrast import contrast_head, smooth_statistics
from pipelines.pretraining.rendering import rendered
from pipelines.pretraining.running import (
    Parser,
    digest,
    natural,
    positive,
    read_checkpoint,
    reproducible,
    train,
    write,
)
from pipelines.pretraining.views import nt_xent, random_views

TAUGHT = {"conv3_2": "conv3_3", "conv4_1": "conv4_3", "conv4_4": "conv5_3"}
"""The student's stages, and the teacher's layers they tell."""

CONTRASTED = {"middle": ("conv3_2", "conv4_1"), "last": ("conv4_4",)}
"""The stages that each contrast sees."""

CHANNELS = {"conv3_2": 256, "conv4_1": 384, "conv4_4": 512}
"""Of the student's stages."""

MAX_NORM = 5.0  # of the gradient

TOLD = {
    "teacher": (
        "VGG16, ImageNet: Simonyan and Zisserman, 'Very deep convolutional networks "
        "for large-scale image recognition', 2014; weights CC BY 4.0"
    ),
    "start": (
        "SqueezeNet 1.1, ImageNet: Iandola et al. 2016; weights of the ONNX model "
        "zoo, Apache License 2.0; changed by this training"
    ),
    "images": "of this training: generated only; both networks learned from ImageNet",
    "limits": (
        "Trained on photographs of everyday things by way of both networks, and on "
        "generated textures and shapes. Not checked on faces, scenes or writing."
    ),
}
"""What the card says beside the recipe."""


def main(argv=None):
    """Render the pictures, ask the teacher, train, and write weights and their card."""
    parser = _parser()
    args = parser.parse_args(argv)
    Path(args.out).mkdir(parents=True, exist_ok=True)
    checkpoint = read_checkpoint(args)
    images = rendered(args.out, args.seed, args.count, args.image_size, args.workers)
    with reproducible(args.seed, args.threads, "cpu"):
        name = f"{digest(args.teacher)[:8]}-{args.seed}-{args.count}-{args.image_size}"
        maps = teacher.teacher_maps(args.out, args.teacher, images, name)
        learner = Learner(starting_state(args.start))
        start = {k: v.clone() for k, v in learner.network.state_dict().items()}
        scales = _scales(maps)
        optimizer = _optimizer(learner, args)

        def step(number):
            return _step(learner, optimizer, images, maps, scales, number, args)

        seconds = train(learner, optimizer, step, args, checkpoint)
        state = mixed(start, learner.network.state_dict(), args.share)
        digests = {"teacher": digest(args.teacher), "start": digest(args.start)}
        write(state, "vgg_mini", args, seconds, TOLD | {"sha256_of_sources": digests})


def _parser():
    parser = Parser(__doc__.splitlines()[0], MIN_SIZE)
    parser.add_argument("--teacher", required=True, help="file of VGG16's weights")
    parser.add_argument("--start", required=True, help="file of SqueezeNet 1.1's")
    parser.add("count", 6000, "number of pictures", positive)
    parser.add("steps", 4000, "steps in all", positive)
    parser.add("batch-size", 32, "pictures a step whose maps are told", positive)
    parser.add("pairs", 64, "pictures a step that are seen in two views", natural)
    parser.add("contrast", 0.3, "weight of the contrast; the teacher's maps have 1")
    parser.add("learning-rate", 3e-4, "of AdamW at its height, of the network")
    parser.add("head-rate", 1e-3, "the same, of the heads")
    parser.add("weight-decay", 0.01, "of AdamW, on matrices only")
    parser.add("share", 1.0, "of the trained weights; the rest are those of the start")
    return parser


def starting_state(path):
    """Return SqueezeNet 1.1's weights as `VGGMini` has them.

    The scale and the shift of its input move into the first convolution, which has no
    padding: the same pictures give the same maps.
    """
    state = load_network("squeezenet1_1", path)[0].state_dict()
    state = {key: v.double() for key, v in state.items() if key.startswith("features.")}
    gain = torch.tensor(STD) / torch.tensor(teacher.STD)
    shift = (torch.tensor(MEAN) - torch.tensor(teacher.MEAN)) / torch.tensor(
        teacher.STD
    )
    first = state["features.0.weight"]  # (outputs, 3, height, width)
    state["features.0.bias"] += (first * shift[:, None, None]).sum((1, 2, 3))
    state["features.0.weight"] = first * gain[:, None, None]
    return {key: value.float() for key, value in state.items()}


def mixed(start, trained, share):
    """Return weights on the line between two networks, a share of the second.

    References
    ----------
    .. [1] Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022.
    """
    return {key: (1 - share) * start[key] + share * v for key, v in trained.items()}


class Learner(nn.Module):
    """The network, heads that tell the teacher's maps, and heads of the contrasts."""

    def __init__(self, state):
        super().__init__()
        self.network = VGGMini().to(memory_format=torch.channels_last)
        self.network.load_state_dict(state)
        self.telling = nn.ModuleDict(
            {
                stage: nn.Sequential(
                    nn.BatchNorm2d(CHANNELS[stage], affine=False),
                    nn.Conv2d(CHANNELS[stage], teacher.CHANNELS[layer], 1),
                )
                for stage, layer in TAUGHT.items()
            }
        )
        self.contrasting = nn.ModuleDict(
            {
                name: contrast_head(3 * sum(CHANNELS[stage] for stage in stages))
                for name, stages in CONTRASTED.items()
            }
        )

    def told(self, x):
        """Return what the stages tell of the teacher's maps, by the student's stage."""
        maps = self.network.stages(x)
        return {stage: head(maps[stage]) for stage, head in self.telling.items()}

    def seen(self, x):
        """Return (n, 128) features of length 1 for each contrast, by name."""
        maps = self.network.stages(x)
        features = {}
        for name, stages in CONTRASTED.items():
            values = torch.cat([smooth_statistics(maps[s]) for s in stages], 1)
            z = self.contrasting[name](values)
            features[name] = nn.functional.normalize(z, dim=1)
        return features


def _optimizer(learner, args):
    network = list(learner.network.named_parameters())
    heads = [(k, v) for k, v in learner.named_parameters() if "network." not in k]
    groups = []
    for named, rate in ((network, args.learning_rate), (heads, args.head_rate)):
        for is_matrix in (True, False):
            group = [p for _, p in named if (p.ndim > 1) == is_matrix]
            decay = args.weight_decay * is_matrix
            groups.append({"params": group, "lr": rate, "weight_decay": decay})
    return torch.optim.AdamW(groups, betas=(0.9, 0.98))


def _scales(maps, count=500):
    """Return what each channel of the teacher's maps is standardized by, by layer.

    The mean, and the deviation plus a share of that of all channels: of a channel that
    rarely speaks, a few hundred pictures do not tell the deviation.
    """
    scales = {}
    for name, values in maps.items():
        some = values[:count].astype(np.float32)
        mean, std = some.mean((0, 1, 2)), some.std((0, 1, 2))
        scales[name] = mean, std + 0.3 * std.mean()  # rare ones must not outweigh all
    return scales


def _step(learner, optimizer, images, maps, scales, number, args):
    """Take one step down; return the losses and hit rates before it."""
    generator = torch.Generator().manual_seed(args.seed * 1_000_003 + number * 2 + 1)
    losses = _telling_losses(learner, images, maps, scales, generator, args)
    report = {name: loss.item() for name, loss in losses.items()}
    total = sum(losses.values()) / len(losses)
    if args.pairs and args.contrast:
        chosen = _chosen(images, args.pairs, generator)
        x = teacher.pixels(images[chosen])
        views = [random_views(x, args.crop_size, generator) for _ in range(2)]
        views = torch.cat(views).contiguous(memory_format=torch.channels_last)
        for name, z in learner.seen(views).items():
            loss, hits = nt_xent(z, args.temperature)
            total = total + args.contrast * loss / len(CONTRASTED)
            report |= {f"{name}_loss": loss.item(), f"{name}_hits": hits.item()}
    optimizer.zero_grad(set_to_none=True)
    total.backward()
    nn.utils.clip_grad_norm_(learner.network.parameters(), MAX_NORM)
    optimizer.step()
    return {name: round(value, 4) for name, value in report.items()}


def _telling_losses(learner, images, maps, scales, generator, args):
    """Return the squared error of what is told of the teacher's maps, by layer."""
    chosen = _chosen(images, args.batch_size, generator)
    told = learner.told(teacher.standardized(teacher.pixels(images[chosen]), MEAN, STD))
    losses = {}
    for stage, layer in TAUGHT.items():
        mean, std = scales[layer]
        target = torch.from_numpy((maps[layer][chosen].astype(np.float32) - mean) / std)
        target = target.permute(0, 3, 1, 2)
        if target.shape[2] > told[stage].shape[2]:  # the student's stride is twice
            target = nn.functional.avg_pool2d(target, 3, 2)
        losses[layer] = nn.functional.mse_loss(told[stage], target)
    return losses


def _chosen(images, count, generator):
    """Draw places of different pictures."""
    places = torch.randint(len(images), (count,), generator=generator)
    return places.unique().numpy()


if __name__ == "__main__":
    run(main)
