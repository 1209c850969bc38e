"""``featad doctor``: what is installed, what is missing, and how to get it."""

import importlib.metadata
import importlib.util
import os
import platform
import urllib.request
from argparse import Namespace
from typing import Any

from featad.cli import options

_CORE = (
    "torch",
    "torchvision",
    "scikit-learn",
    "joblib",
    "numpy",
    "pandas",
    "pillow",
    "safetensors",
    "tqdm",
)
_EXTRAS = {
    "matplotlib": ("report", "pictures"),
    "pyarrow": ("parquet", ".parquet score files"),
    "openvino": ("openvino", "an engine that runs networks faster on processors"),
    "nncf": ("int8", "networks in 8-bit integers"),
    "skops": ("safe", ".skops model files that run no code"),
}


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "doctor",
        help="show what is installed, what is missing, and how to get it",
        description="Print versions, devices, which pretrained weights are on this "
        "machine, and which optional packages are missing. With --weights: print what "
        "a file of weights is, which network it fits and which layers it serves; the "
        "exit code is 1 if it fits none. With --speed: measure in about 30 seconds "
        "how fast the engines run a network here, and print the options to take.",
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "--network",
        action="store_true",
        help="also check whether the published weights can be downloaded",
    )
    parser.add_argument(
        "--weights",
        metavar="FILE",
        help="describe this file of weights, and print nothing else",
    )
    parser.add_argument(
        "--speed",
        nargs="?",
        const=True,
        type=options.system_name,
        metavar="SYSTEM",
        help="measure the engines and precisions with the network of this system, and "
        "print nothing else (default: the recommended system)",
    )
    parser.add_argument(
        "--arch",
        metavar="ARCH",
        help="with --weights: the network that the file should fit, such as vgg16 "
        "(default: the one that it fits)",
    )


def run(args: Namespace) -> int:
    """Print the findings; return 1 if featad cannot work on this machine."""
    from featad import __version__

    if args.weights is not None:
        return _say_file(args.weights, args.arch)
    if args.arch is not None:
        raise ValueError("--arch says which network a file should fit: add --weights.")
    if args.speed is not None:
        from featad.cli.speed import say_speed
        from featad.registry import RECOMMENDED

        return say_speed(RECOMMENDED if args.speed is True else args.speed)
    print(f"featad {__version__}, Python {platform.python_version()}, {_machine()}")
    print("\npackages")
    fine = all([_say_package(name) for name in _CORE])
    fine = _say_torch_pair() and fine
    for name, (extra, what) in _EXTRAS.items():
        if importlib.util.find_spec(name):
            _say_package(name)
        else:
            print(f"  {name:<14}missing: {what} (pip install 'featad[{extra}]')")
    if not fine:
        return 1
    _say_devices()
    _say_weights(args.network)
    return 0


def _say_file(path, arch):
    from featad.features.inspection import inspect_weights

    file = inspect_weights(path, arch)
    print(f"{file.path} ({file.size / 2**20:.1f} MB)")
    print(f"  sha256 {file.sha256}")
    for sentence in _sentences(file):
        print(f"  {sentence}")
    return 0


def _sentences(file):
    """Yield what a file of weights is, in words."""
    from featad.features import default_layers
    from featad.features.weights import preset

    values = f"{file.n_values / 1e6:.1f} million values, {' and '.join(file.dtypes)}"
    if file.is_partial:
        yield f"It holds the convolutions of {file.arch} only: {values}."
    else:
        yield f"It holds the whole network {file.arch}: {values}."
    if file.has_nan:
        yield "Its fully connected layers hold NaN or infinity and are left out."
    else:
        yield "All values are finite."
    if file.layers:
        yield f"It serves the layers {', '.join(file.layers)}."
    if file.is_partial:
        yield "fc6 and fc7 need a file of the whole network."
    if file.published:
        yield f"It is torchvision's published set {file.published}."
    else:
        yield "It is none of torchvision's published sets for this network."
    usual = preset(file.arch, file.path)
    mean, std = (
        ", ".join(f"{value:.4g}" for value in values)
        for values in (usual.mean, usual.std)
    )
    option = ""
    if file.is_from_caffe:
        yield "Its layers are named as conversions from Caffe name them."
        yield "It needs preprocessing='caffe' if it takes BGR from 0 to 255."
        option = " --set features__preprocessing=caffe"
    else:
        yield f"It is fed RGB in [0, 1] minus ({mean}), divided by ({std})."
        yield "If it was trained on BGR from 0 to 255, say preprocessing='caffe'."
    for key, value in file.metadata.items():
        yield f"Its metadata says, under {key}: {value}"
    if file.is_partial:
        yield f"Take a convolution, such as layer={default_layers(file.arch)[1][1]!r}."
    yield f"On the command line: --weights {file.arch}={file.path}{option}"


def _machine():
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"


def _say_package(name):
    try:
        print(f"  {name:<14}{importlib.metadata.version(name)}")
    except importlib.metadata.PackageNotFoundError:
        print(f"  {name:<14}missing (pip install {name})")
        return False
    return True


def _say_torch_pair():
    try:
        import torchvision  # noqa: F401
    except Exception as error:  # a mismatched pair raises RuntimeError, or worse
        print(
            f"  torchvision does not work with this torch: {error}\n"
            "  Install a matching pair, such as the one in constraints.txt."
        )
        return False
    return True


def _say_devices():
    import torch

    from featad._device import resolve_device

    print("\ndevices")
    print(f"  cpu           {torch.get_num_threads()} threads")
    for index in range(torch.cuda.device_count()):
        print(f"  cuda:{index}        {torch.cuda.get_device_name(index)}")
    print(f"  auto selects  {resolve_device('auto')}")


def _say_weights(try_network):
    from featad.features import BACKBONES
    from featad.features.weights import weights_status

    statuses = [weights_status(arch) for arch in BACKBONES]
    shipped = [status for status in statuses if status.url is None]
    statuses = [status for status in statuses if status.url is not None]
    print("\nweights that ship with featad")
    for status in shipped:
        print(f"  {status.arch:<20}present{_megabytes(status.size)}")
    print(f"\npublished weights, in {statuses[0].path.parent}")
    for status in statuses:
        place = "present" if status.is_cached else f"missing: {status.url}"
        print(f"  {status.arch:<20}{place}{_megabytes(status.size)}")
    if try_network:
        print(f"  {_reachable(statuses[0].url)}")
    print(
        "  Missing weights are downloaded when they are first needed. Without a "
        "network, put the\n  file into that folder, or pass it: --weights FILE."
    )


def _megabytes(size):
    return "" if size is None else f" ({size / 2**20:.0f} MB)"


def _reachable(url):
    request = urllib.request.Request(url, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=5):
            return "They can be downloaded."
    except OSError as error:
        return f"They cannot be downloaded ({error})."
