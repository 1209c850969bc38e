"""Images from files, bytes, PIL images and arrays; the only place that decodes."""

from featad.images.reader import ImageReader, read_image
from featad.images.sources import (
    EXTENSIONS,
    Source,
    check_sources,
    content_hash,
    describe_source,
    list_images,
    map_images,
    natural_key,
    reason_of,
    settle_unread,
)

__all__ = [
    "EXTENSIONS",
    "ImageReader",
    "Source",
    "check_sources",
    "content_hash",
    "describe_source",
    "list_images",
    "map_images",
    "natural_key",
    "read_image",
    "reason_of",
    "settle_unread",
]
