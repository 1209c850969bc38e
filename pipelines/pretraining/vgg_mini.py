"""Pretrain ``vgg_mini`` on generated pictures only, by contrast of two views of each.

Stops and resumes at checkpoints. On the CPU the same arguments and the same number of
threads give the same weights bit for bit, whether interrupted or not.
"""

import argparse
import hashlib
import json
import math
import platform
import time
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import numpy as np
import scipy
import torch
from safetensors.torch import save
from torch import nn
from tqdm import tqdm

import featad
from featad.errors import ModelFileError
from featad.features.vgg_mini import MIN_SIZE, VGGMini, fold_batch_norm
from pipelines._recipe import run
from pipelines.pretraining import pictures
from pipelines.pretraining.rendering import rendered
from pipelines.pretraining.views import nt_xent, random_views

STAGES = {
    "middle": {"conv2_2": 128, "conv3_1": 256},
    "last": {"conv3_2": 256, "conv4_1": 512},
}
"""The stages each contrast sees, with their channels."""

FREE = {"out", "steps", "threads", "workers", "every"}
"""Arguments that may change when a run is resumed."""

WARM_UP = 80  # steps
DESCENT = 0.4  # share of the steps
MAX_NORM = 5.0  # of the gradient


def main(argv=None):
    """Render the pictures, train or resume, and write the weights and their card."""
    parser = _parser()
    args = parser.parse_args(argv)
    if args.image_size < pictures.MIN_SIZE:
        parser.error(f"--image-size should be {pictures.MIN_SIZE} or more")
    if args.crop_size < MIN_SIZE:
        parser.error(f"--crop-size should be {MIN_SIZE} or more")
    if args.device == "auto":
        args.device = "cuda" if torch.cuda.is_available() else "cpu"
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = read_checkpoint(out / "latest.pt", vars(args))
    images = rendered(out, args.seed, args.count, args.image_size, args.workers)
    with reproducible(args.seed, args.threads, args.device):
        learner = Learner().to(args.device)
        seconds = train(learner, images, args, checkpoint)
        write(learner.network, args, seconds)
    print(f"Wrote {out / 'vgg_mini.safetensors'} and {out / 'vgg_mini.json'}.")


def _parser():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )

    def add(name, default, text, kind=None):
        kind = kind or type(default)
        parser.add_argument(f"--{name}", type=kind, default=default, help=text)

    parser.add_argument("--out", required=True, help="folder to write, or to resume in")
    add("count", 20000, "number of pictures", _positive)
    add("image-size", 128, "pixels of a picture's side", _positive)
    add("crop-size", 64, "pixels of a view's side", _positive)
    add("seed", 0, "names the pictures, the first weights and the views", _natural)
    add("steps", 1500, "steps in all", _positive)
    add("batch-size", 128, "pictures a step, each seen twice", _positive)
    add("learning-rate", 1.6e-3, "of AdamW at its height")
    add("weight-decay", 0.02, "of AdamW, on matrices only")
    add("temperature", 0.2, "of the contrast")
    add("middle-weight", 0.5, "weight of the middle stages' contrast; the last have 1")
    add("threads", 2, "threads of PyTorch; the last bits depend on them", _positive)
    add("workers", 2, "processes that render the pictures", _positive)
    add("every", 100, "steps between checkpoints", _positive)
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


def _natural(text):
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"expected 0 or more, got {value}")
    return value


def _positive(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, got {value}")
    return value


@contextmanager
def reproducible(seed, threads, device):
    """Seed PyTorch, set its threads and keep to deterministic algorithms for a block.

    On a GPU only warnings tell of algorithms that do not repeat.
    """
    threads_before = torch.get_num_threads()
    strict_before = torch.are_deterministic_algorithms_enabled()
    lenient_before = torch.is_deterministic_algorithms_warn_only_enabled()
    gpus = [torch.cuda.current_device()] if device == "cuda" else []
    with torch.random.fork_rng(devices=gpus):
        try:
            torch.manual_seed(seed)
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(True, warn_only=device == "cuda")
            yield
        finally:
            torch.set_num_threads(threads_before)
            torch.use_deterministic_algorithms(strict_before, warn_only=lenient_before)


class Learner(nn.Module):
    """The network, and heads that bring its statistics to the sphere of a contrast."""

    def __init__(self):
        super().__init__()
        network = VGGMini(batch_norm=True)
        self.network = network.to(memory_format=torch.channels_last)
        self.heads = nn.ModuleDict(
            {name: _head(3 * sum(STAGES[name].values())) for name in STAGES}
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


def _head(n_inputs, n_hidden=512, n_outputs=128):
    return nn.Sequential(
        nn.BatchNorm1d(n_inputs),
        nn.Linear(n_inputs, n_hidden, bias=False),
        nn.BatchNorm1d(n_hidden),
        nn.ReLU(),
        nn.Linear(n_hidden, n_outputs),
    )


def smooth_statistics(maps, floor=1e-4):
    """Return `featad.features.vgg_mini.statistics` with a slope everywhere.

    The deviation is the root of the variance plus ``floor``: a root alone has no slope
    at 0, where a channel that is off lies. One pass each, without copies of the maps.
    """
    n_positions = maps.shape[2] * maps.shape[3]
    mean = maps.mean((2, 3), dtype=torch.float32)
    length = torch.linalg.vector_norm(maps, dim=(2, 3), dtype=torch.float32)
    variance = (length.square() / n_positions - mean.square()).clamp(min=0)
    highest = maps.flatten(2).amax(2).float()
    return torch.cat([mean, (variance + floor).sqrt(), highest], 1)


def learning_rate_share(step, steps):
    """Return the share of the greatest learning rate: up, level, down as a cosine.

    Until the descent it does not depend on ``steps``: a run stopped before may be
    resumed with another number of steps, and equals one started with that number.
    """
    down = max(0.0, (step - (1 - DESCENT) * steps) / (DESCENT * steps))
    return min(1.0, (step + 1) / WARM_UP) * (0.5 + 0.5 * math.cos(math.pi * down))


def train(learner, images, args, checkpoint=None):
    """Train from the checkpoint, if any, to the last step; return seconds spent."""
    optimizer = _optimizer(learner, args)
    first, spent = 0, 0.0
    if checkpoint:
        learner.load_state_dict(checkpoint["learner"])
        optimizer.load_state_dict(checkpoint["optimizer"])
        first, spent = checkpoint["step"], checkpoint["seconds"]
    learner.train()
    start = time.perf_counter() - spent
    log = _Log(Path(args.out) / "log.jsonl", first)
    bar = tqdm(range(first, args.steps), initial=first, total=args.steps, desc="train")
    for step in bar:
        share = learning_rate_share(step, args.steps)
        for group in optimizer.param_groups:
            group["lr"] = args.learning_rate * share
        losses = _step(learner, optimizer, _batch(images, step, args), args)
        log.add(step, losses)
        bar.set_postfix(losses, refresh=False)
        if (step + 1) % args.every == 0 or step + 1 == args.steps:
            state = {
                "learner": learner.state_dict(),
                "optimizer": optimizer.state_dict(),
                "step": step + 1,
                "seconds": time.perf_counter() - start,
                "arguments": vars(args),
            }
            _save(state, Path(args.out) / "latest.pt")
    return time.perf_counter() - start


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


class _Log:
    """Lines of losses beside the checkpoints, without those a resumed run repeats."""

    def __init__(self, path, first):
        self.path = path
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        kept = [line for line in lines if json.loads(line)["step"] < first]
        path.write_text("".join(line + "\n" for line in kept), encoding="utf-8")

    def add(self, step, losses):
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step} | losses) + "\n")


def _save(state, path):
    """Write a checkpoint so that an interruption leaves the last one whole."""
    part = path.with_suffix(".part")
    torch.save(state, part)
    part.replace(path)


def read_checkpoint(path, arguments):
    """Return the checkpoint to go on from, or None; refuse one of another recipe."""
    if not path.exists():
        return None
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        before = checkpoint["arguments"]
    except Exception as error:  # unpickling damaged bytes raises anything at all
        raise ModelFileError(
            f"{path} is not a checkpoint of this program: {error}. Name another --out, "
            "or delete the file to start anew."
        ) from error
    for name, value in arguments.items():
        if name not in FREE and before.get(name) != value:
            raise ModelFileError(
                f"{path} was made with --{name.replace('_', '-')} {before.get(name)}, "
                f"not {value}: give it the same, or name another --out."
            )
    descends_from = (1 - DESCENT) * min(before["steps"], arguments["steps"])
    if before["steps"] != arguments["steps"] and checkpoint["step"] > descends_from:
        raise ModelFileError(
            f"{path} is at step {checkpoint['step']}, where the learning rate of "
            f"--steps {before['steps']} and of {arguments['steps']} differ: give it "
            "the same, or name another --out."
        )
    return checkpoint


def write(network, args, seconds):
    """Write the folded network in float16, and the card that tells how it was made."""
    out = Path(args.out)
    state = fold_batch_norm(network.cpu().eval()).state_dict()
    path = out / "vgg_mini.safetensors"
    path.write_bytes(save({name: value.half() for name, value in state.items()}))
    recipe = {name: value for name, value in vars(args).items() if name != "out"}
    card = {
        "name": "vgg_mini",
        "date": date.today().isoformat(),
        "sha256": _digest(path),
        "seed": args.seed,
        "recipe": recipe,
        "seconds": round(seconds),
        "generators": {
            source.name: _digest(source)
            for source in sorted(Path(__file__).parent.glob("*.py"))
            if source != Path(__file__)
        },
        "made_with": {
            "featad": featad.__version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "scipy": scipy.__version__,
            "machine": platform.machine(),
        },
        "images": "generated only; no photograph was seen",
        "limits": (
            "Textures, shapes and their flaws. Not trained on objects, faces, scenes "
            "or writing: where what an image shows matters more than how its surface "
            "looks, networks trained on ImageNet know more."
        ),
    }
    text = json.dumps(card, indent=2) + "\n"
    (out / "vgg_mini.json").write_text(text, encoding="utf-8")


def _digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    run(main)
