"""What the recipes share: options, checkpoints, the learning rate, what they write."""

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
from tqdm import tqdm

import featad
from featad.errors import ModelFileError
from pipelines.pretraining.pictures import MIN_SIZE

FREE = {"out", "steps", "threads", "workers", "every", "teacher", "start"}
"""Arguments that may change when a run is resumed."""

WARM_UP = 80  # steps
DESCENT = 0.4  # share of the steps


class Parser(argparse.ArgumentParser):
    """The options that both recipes have; a recipe adds its own.

    Parameters
    ----------
    text : str
        The first line of the help.

    min_crop : int
        The least ``--crop-size``.
    """

    def __init__(self, text, min_crop):
        super().__init__(
            description=text, formatter_class=argparse.ArgumentDefaultsHelpFormatter
        )
        self._min_crop = min_crop
        self.add_argument("--out", required=True, help="folder to write or resume in")
        self.add("image-size", 128, "pixels of a picture's side", positive)
        self.add("crop-size", 64, "pixels of a view's side", positive)
        self.add("seed", 0, "names the pictures, the heads and the views", natural)
        self.add("temperature", 0.2, "of the contrast")
        self.add("threads", 2, "of PyTorch; the last bits depend on them", positive)
        self.add("workers", 2, "processes that render the pictures", positive)
        self.add("every", 100, "steps between checkpoints", positive)

    def add(self, name, default, text, kind=None):
        """Add an option with a default, of whose type it is unless told otherwise."""
        kind = kind or type(default)
        self.add_argument(f"--{name}", type=kind, default=default, help=text)

    def parse_args(self, args=None, namespace=None):
        """Return the arguments; end the program if sizes are too small."""
        found = super().parse_args(args, namespace)
        if found.image_size < MIN_SIZE:
            self.error(f"--image-size should be {MIN_SIZE} or more")
        if found.crop_size < self._min_crop:
            self.error(f"--crop-size should be {self._min_crop} or more")
        return found


def natural(text):
    """Return the whole number, 0 or more, that an option is given."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"expected 0 or more, got {value}")
    return value


def positive(text):
    """Return the whole number, 1 or more, that an option is given."""
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


def learning_rate_share(step, steps):
    """Return the share of the greatest learning rate: up, level, down as a cosine.

    Until the descent it does not depend on ``steps``: a run stopped before may be
    resumed with another number of steps, and equals one started with that number.
    """
    down = max(0.0, (step - (1 - DESCENT) * steps) / (DESCENT * steps))
    return min(1.0, (step + 1) / WARM_UP) * (0.5 + 0.5 * math.cos(math.pi * down))


def train(learner, optimizer, step, args, checkpoint=None):
    """Train from the checkpoint, if any, to the last step; return seconds spent.

    Parameters
    ----------
    learner : torch.nn.Module

    optimizer : torch.optim.Optimizer
        Its groups start with their greatest learning rates.

    step : callable
        Takes the number of a step, and returns losses by name.

    args : argparse.Namespace

    checkpoint : dict or None
        From `read_checkpoint`.
    """
    highest = [group["lr"] for group in optimizer.param_groups]
    first, spent = 0, 0.0
    if checkpoint:
        learner.load_state_dict(checkpoint["learner"])
        optimizer.load_state_dict(checkpoint["optimizer"])
        first, spent = checkpoint["step"], checkpoint["seconds"]
    learner.train()
    start = time.perf_counter() - spent
    log = Log(Path(args.out) / "log.jsonl", first)
    bar = tqdm(range(first, args.steps), initial=first, total=args.steps, desc="train")
    for number in bar:
        share = learning_rate_share(number, args.steps)
        for group, height in zip(optimizer.param_groups, highest, strict=True):
            group["lr"] = height * share
        losses = step(number)
        log.add(number, losses)
        bar.set_postfix(losses, refresh=False)
        if (number + 1) % args.every == 0 or number + 1 == args.steps:
            state = {
                "learner": learner.state_dict(),
                "optimizer": optimizer.state_dict(),
                "step": number + 1,
                "seconds": time.perf_counter() - start,
                "arguments": vars(args),
            }
            save_checkpoint(state, Path(args.out) / "latest.pt")
    return time.perf_counter() - start


class Log:
    """Lines of losses beside the checkpoints, without those a resumed run repeats."""

    def __init__(self, path, first):
        self.path = path
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        kept = [line for line in lines if json.loads(line)["step"] < first]
        path.write_text("".join(line + "\n" for line in kept), encoding="utf-8")

    def add(self, step, losses):
        """Append the losses of a step."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step} | losses) + "\n")


def save_checkpoint(state, path):
    """Write a checkpoint so that an interruption leaves the last one whole."""
    part = path.with_suffix(".part")
    torch.save(state, part)
    part.replace(path)


def read_checkpoint(args):
    """Return the checkpoint to go on from, or None; refuse one of another recipe."""
    path, arguments = Path(args.out) / "latest.pt", vars(args)
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


def write(state, name, args, seconds, told):
    """Write weights in float16, and the card that tells how they were made.

    Parameters
    ----------
    state : dict of str to Tensor

    name : str
        Of both files.

    args : argparse.Namespace

    seconds : float
        Of training.

    told : dict
        What else the card says.
    """
    path = Path(args.out) / f"{name}.safetensors"
    path.write_bytes(save({key: v.half().contiguous() for key, v in state.items()}))
    here = {"out", "teacher", "start"}  # folders of this machine
    recipe = {key: value for key, value in vars(args).items() if key not in here}
    sources = sorted(Path(__file__).parent.glob("*.py"))
    card = {
        "name": name,
        "date": date.today().isoformat(),
        "sha256": digest(path),
        "seed": args.seed,
        "recipe": recipe,
        "seconds": round(seconds),
        "generators": {source.name: digest(source) for source in sources},
        "made_with": {
            "featad": featad.__version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "scipy": scipy.__version__,
            "machine": platform.machine(),
        },
    }
    text = json.dumps(card | told, indent=2) + "\n"
    path.with_suffix(".json").write_text(text, encoding="utf-8")
    print(f"Wrote {path} and {path.with_suffix('.json')}.")


def digest(path):
    """Return the sha256 of a file."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
