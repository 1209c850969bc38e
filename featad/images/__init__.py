"""Images from files, bytes, PIL images and arrays; the only place that decodes."""

from featad.images.mapping import label_rows, map_images, warn_unreadable
from featad.images.notes import Notes
from featad.images.read import read_image
from featad.images.reader import ImageReader
from featad.images.sources import (
    EXTENSIONS,
    Source,
    check_sources,
    content_hash,
    describe_source,
    list_images,
    local_path,
    natural_key,
    reason_of,
)

__all__ = [
    "EXTENSIONS",
    "ImageReader",
    "Notes",
    "Source",
    "check_sources",
    "content_hash",
    "describe_source",
    "label_rows",
    "list_images",
    "local_path",
    "map_images",
    "natural_key",
    "read_image",
    "reason_of",
    "warn_unreadable",
]
