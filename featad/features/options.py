"""Parameters of frozen networks, as type checkers see ``**options``."""

import os

from typing_extensions import TypedDict


class NetworkOptions(TypedDict, total=False):
    """What all transformers that run a frozen network take, but ``arch`` and ``layer``.

    A subclass names these two itself; PEP 692 does not let it name one of the others.
    """

    weights: str | os.PathLike | None
    preprocessing: str | None
    image_size: int | tuple[int, int] | None
    crop: bool
    device: str
    engine: str
    precision: str
    batch_size: int | None
    n_jobs: int | None
    cache: str | os.PathLike | None
    on_error: str
    max_value: float | None
    max_pixels: int | None
    truncated: str
    decode: str
    random_state: int | None
    verbose: bool


class BackboneOptions(NetworkOptions, total=False):
    """What `BackboneFeatures` takes besides ``arch`` and ``layer``."""

    pooling: str | tuple[str, ...]
    normalize: bool


class PatchOptions(NetworkOptions, total=False):
    """What `PatchFeatures` takes besides ``arch`` and ``layer``."""

    grid: int | tuple[int, int] | None
    neighborhood: int
    n_components: int | None
    reduction: str
    dtype: str
