"""Images from files, bytes, PIL images and arrays; the only place that decodes."""

from featad.images.mapping import map_images, warn_unreadable
from featad.images.reader import ImageReader, read_image
from featad.images.sources import (
    EXTENSIONS,
    Source,
    as_text,
    check_sources,
    content_hash,
    describe_source,
    list_images,
    natural_key,
    reason_of,
)

__all__ = [
    "EXTENSIONS",
    "ImageReader",
    "Source",
    "as_text",
    "check_sources",
    "content_hash",
    "describe_source",
    "list_images",
    "map_images",
    "natural_key",
    "read_image",
    "reason_of",
    "warn_unreadable",
]
