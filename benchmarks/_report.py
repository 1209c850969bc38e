"""What the benchmarks share: where data lies, and the heading of a results file."""

import json
import os
import platform
import subprocess
import sys
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("FEATAD_DATA", ROOT.parent / "shared" / "data"))
SQUEEZENET = Path(
    os.environ.get(
        "FEATAD_WEIGHTS",
        ROOT.parent / "shared" / "weights" / "squeezenet1_1-imagenet.pth",
    )
)
VGG16 = Path(
    os.environ.get(
        "FEATAD_VGG16_WEIGHTS",
        ROOT.parent / "shared" / "weights" / "vgg16-features-imagenet.safetensors",
    )
)
RESULTS = Path(__file__).parent / "results"

_ABILITIES = {
    "avx512f": "AVX-512",
    "avx512_vnni": "VNNI",
    "avx512_bf16": "bfloat16",
    "amx_tile": "AMX",
}


def heading(title: str, module: str) -> str:
    """Return title, date, machine, versions and command, as Markdown."""
    now = datetime.now(timezone.utc)
    machine = f"{platform.machine()}, {_processor()}{_abilities()}"
    versions = ", ".join(
        f"{name} {version(name)}" for name in ("torch", "torchvision", "scikit-learn")
    )
    arguments = " ".join(sys.argv[1:])
    return (
        f"# {title}\n\n"
        f"Measured {now:%Y-%m-%d} on {os.cpu_count()} cores ({machine}), "
        f"Python {platform.python_version()}, {versions}, with\n\n"
        f"    python -m {module} {arguments}".rstrip()
        + "\n"
    )


def _processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(x for x in lines if x.startswith("model name")).split(": ")[1]
    except (OSError, StopIteration):
        return platform.processor() or "unknown processor"


def _abilities():
    """Return what the processor has for products of matrices, as Linux names it."""
    try:
        flags = Path("/proc/cpuinfo").read_text().split()
    except OSError:
        return ""
    found = [name for flag, name in _ABILITIES.items() if flag in flags]
    return f" with {', '.join(found)}" if found else " without AVX-512"


def markdown_table(header: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


def read_rows(name: str) -> dict[str, list[str]]:
    """Return {first cell: other cells} of the table in a results file, if there is."""
    path = RESULTS / name
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    table = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")]
    return {first: others for first, *others in table[2:]}


def write(name: str, text: str) -> None:
    """Write a results file and say so."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / name
    path.write_text(text, encoding="utf-8")
    print(f"wrote {path}", file=sys.stderr)


def run_peers(python: str, jobs: list[dict]) -> None:
    """Run jobs of ``benchmarks._peers`` in another Python; they write ``output``."""
    subprocess.run(
        [python, "-W", "ignore", "-m", "benchmarks._peers"],
        input=json.dumps(jobs),
        text=True,
        cwd=ROOT,
        check=True,
    )
