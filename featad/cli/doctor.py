"""``featad doctor``: what this machine has, what is missing, and how to get it."""

import importlib.metadata
import importlib.util
import os
import platform
import urllib.request
from argparse import Namespace
from typing import Any

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
    "skops": ("safe", ".skops model files that run no code"),
}


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "doctor",
        help="say what this machine has, what is missing, and how to get it",
        description="Print versions, devices, which pretrained weights are at hand and "
        "which optional packages are missing.",
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "--network",
        action="store_true",
        help="also try whether the published weights can be downloaded from here",
    )


def run(args: Namespace) -> int:
    """Print the findings; 1 if featad cannot work here."""
    from featad import __version__

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
            "  install a matching pair, such as the one in constraints.txt"
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
    print(f"  auto takes    {resolve_device('auto')}")


def _say_weights(try_network):
    from featad.features import BACKBONES
    from featad.features.weights import weights_status

    statuses = [weights_status(arch) for arch in BACKBONES]
    shipped = [status for status in statuses if status.url is None]
    statuses = [status for status in statuses if status.url is not None]
    print("\nweights that ship with featad")
    for status in shipped:
        print(f"  {status.arch:<20}here{_megabytes(status)}")
    print(f"\npublished weights, in {statuses[0].path.parent}")
    for status in statuses:
        place = "here" if status.is_cached else f"not here: {status.url}"
        print(f"  {status.arch:<20}{place}{_megabytes(status)}")
    if try_network:
        print(f"  {_reachable(statuses[0].url)}")
    print(
        "  What is not here is downloaded when it is asked for. Without a network, put "
        "the file\n  into that folder, or name it: --weights FILE."
    )


def _megabytes(status):
    return "" if status.size is None else f" ({status.size / 2**20:.0f} MB)"


def _reachable(url):
    request = urllib.request.Request(url, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=5):
            return "They can be downloaded from here."
    except OSError as error:
        return f"They cannot be downloaded from here ({error})."
