"""Fixtures: tiny images; real images and weights where they are present."""

import itertools
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests._clusters import local_cluster

collect_ignore = ["typed_use.py"]  # checked by mypy, never run
SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session", autouse=True)
def _own_account(tmp_path_factory):
    """Keep the key of model files in a folder of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        yield


def _present(variable: str, default: Path, what: str) -> Path:
    path = Path(os.environ.get(variable, default))
    if not path.exists():
        pytest.skip(f"{what} not found at {path}; set {variable} to their place")
    return path


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of real data sets (magnetic_tile, mnist, ...)."""
    return _present("FEATAD_DATA", SHARED / "data", "the real data sets")


@pytest.fixture(scope="session")
def real_weights() -> Path:
    """Return the file of ImageNet-trained SqueezeNet 1.1 weights."""
    default = SHARED / "weights" / "squeezenet1_1-imagenet.pth"
    return _present("FEATAD_WEIGHTS", default, "pretrained SqueezeNet weights")


@pytest.fixture(scope="session")
def real_vgg16_weights() -> Path:
    """Return the file of VGG16's ImageNet-trained convolutions."""
    default = SHARED / "weights" / "vgg16-features-imagenet.safetensors"
    what = "pretrained VGG16 convolutions"
    return _present("FEATAD_VGG16_WEIGHTS", default, what)


def _one_digit(real_data, digit):
    from featad.datasets import load_idx

    train, train_digits = load_idx(real_data / "mnist", "train")
    test, digits = load_idx(real_data / "mnist", "test")
    chosen = np.random.default_rng(0).permutation(len(test))[:2000]
    train, test = train[train_digits == digit], test[chosen]
    y = np.where(digits[chosen] == digit, 1, -1)
    return train / np.float32(255), test / np.float32(255), y


@pytest.fixture(scope="session")
def eights(real_data) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return 500 eights to train on, 2,000 digits to test, their labels (8: normal)."""
    return _one_digit(real_data, 8)


@pytest.fixture(scope="session")
def zeros(real_data) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return 500 zeros to train on, 2,000 digits to test, their labels (0: normal)."""
    return _one_digit(real_data, 0)


@pytest.fixture(scope="session")
def t_shirts(real_data) -> tuple[np.ndarray, ...]:
    """Return Fashion-MNIST's training images, labels (T-shirt: normal), and the test's.

    Both labels are 1 or -1; the other nine kinds are all among the training images.
    """
    from featad.datasets import load_idx

    parts = [load_idx(real_data / "fashion_mnist", part) for part in ("train", "test")]
    return tuple(
        array
        for images, kinds in parts
        for array in (images / np.float32(255), np.where(kinds == 0, 1, -1))
    )


@pytest.fixture(scope="session")
def images() -> np.ndarray:
    """Return 24 smooth random images, float32 (24, 8, 8, 3) in [0, 1]."""
    rng = np.random.default_rng(0)
    color = rng.uniform(0.2, 0.8, size=(24, 1, 1, 3))
    noise = rng.normal(0, 0.05, size=(24, 8, 8, 3))
    images = np.clip(color + noise, 0, 1).astype(np.float32)
    images.setflags(write=False)
    return images


@pytest.fixture(scope="session")
def stripes() -> tuple[np.ndarray, np.ndarray]:
    """Return 40 gray images (40, 16, 16), the last 10 striped, and their labels."""
    rng = np.random.default_rng(0)
    X = rng.uniform(0.3, 0.7, (40, 1, 1)) + rng.normal(0, 0.03, (40, 16, 16))
    X[30:, ::2] += 0.3
    return X.clip(0, 1).astype(np.float32), np.repeat([1, -1], [30, 10])


@pytest.fixture(scope="session")
def part_folder(tmp_path_factory) -> Path:
    """Return a folder in the MVTec layout: 24 good parts to train on, 16 to test."""
    from featad.datasets import make_spots_and_lines

    folder = tmp_path_factory.mktemp("parts")
    dataset = make_spots_and_lines(24, 16, size=32, random_state=0)
    rows = zip(dataset.images, dataset.parts, dataset.kinds, strict=True)
    for index, (image, part, kind) in enumerate(rows):
        path = folder / part / kind / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    return folder


@pytest.fixture(scope="session")
def part_model(part_folder, tmp_path_factory) -> Path:
    """Return a model fitted by the command line on the good parts of `part_folder`."""
    from featad.cli import main

    path = tmp_path_factory.mktemp("model") / "model.joblib"
    arguments = ["--data", str(part_folder), "--target-fpr", "0.1", "-o", str(path)]
    assert main(["fit", "--system", "pixels-kmeans", *arguments]) == 0
    return path


@pytest.fixture(scope="session")
def plates(tmp_path_factory) -> Path:
    """Return a folder of 16 x 16 plates, to which a model has to promise something.

    ``fit`` and ``new``: 60 good ones each; ``lamp``: 60 good ones under more light;
    ``odd``: 20 with a dark spot; ``views``: 20 good parts, three views of each, named
    like ``p07_view2.png``; ``model.joblib``: fitted on ``fit``, target 5 %.
    """
    from featad.cli import main

    rng = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("plates")

    def draw(path, base, light=1.0, spot=False):
        image = base + rng.normal(0, 0.02, (16, 16, 1))
        if spot:
            image[4:9, 4:9] -= 0.3
        path.parent.mkdir(exist_ok=True)
        pixels = (255 * np.clip(light * image, 0, 1)).round().astype(np.uint8)
        Image.fromarray(np.repeat(pixels, 3, axis=2)).save(path)

    def plate():
        return 0.4 + rng.normal(0, 0.05) + rng.normal(0, 0.02, (16, 16, 1))

    for kind, n in {"fit": 60, "new": 60, "lamp": 60, "odd": 20}.items():
        options = {"light": 1.25} if kind == "lamp" else {"spot": kind == "odd"}
        for i in range(n):
            draw(folder / kind / f"{kind}{i:02}.png", plate(), **options)
    for part in range(20):
        base = plate()
        for view in range(3):
            draw(folder / "views" / f"p{part:02}_view{view}.png", base)
    arguments = ["--data", str(folder / "fit"), "--target-fpr", "0.05"]
    arguments += ["--system", "pixels-mahalanobis", "--set", "size=8"]
    assert main(["fit", *arguments, "-o", str(folder / "model.joblib")]) == 0
    return folder


@pytest.fixture
def image_folder(tmp_path, images) -> Path:
    """Return a folder of six 8 x 8 PNG files, 0.png to 5.png."""
    folder = tmp_path / "images"
    folder.mkdir()
    for index, image in enumerate(images[:6]):
        Image.fromarray((image * 255).round().astype(np.uint8)).save(
            folder / f"{index}.png"
        )
    return folder


@pytest.fixture
def paths(image_folder) -> list[Path]:
    """Return six files, the third of them broken."""
    (image_folder / "2.png").write_bytes(b"not an image")
    return sorted(image_folder.iterdir())


@pytest.fixture(scope="module")
def client():
    """Return a Dask client of two workers that are threads of this process."""
    distributed = pytest.importorskip("distributed")
    with local_cluster() as cluster, distributed.Client(cluster) as client:
        yield client


@pytest.fixture
def tree(tmp_path):
    """Return a function that writes images, no two of them alike, and their folder."""
    numbers = itertools.count()

    def write(*names: str) -> Path:
        for name in names:
            path = tmp_path / "data" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8), (8 * next(numbers), 0, 50)).save(path)
        return tmp_path / "data"

    return write


@pytest.fixture(scope="session")
def browser():
    """Return a running Chromium; tests skip where it is not installed."""
    driver = pytest.importorskip("playwright.sync_api")
    found = os.environ.get("FEATAD_BROWSER") or shutil.which("chromium")
    if not found:
        pytest.skip("no chromium on this machine; set FEATAD_BROWSER to a browser")
    with driver.sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=found, args=["--no-sandbox"]
        )
        yield running
        running.close()
