"""Images from files, bytes, PIL images and arrays; the only place that decodes."""

from featad.images.listing import (
    EXTENSIONS,
    Listing,
    Rule,
    list_images,
    natural_key,
    scan_folder,
)
from featad.images.mapping import map_images, warn_unreadable
from featad.images.masks import read_mask
from featad.images.reader import ImageReader, read_image
from featad.images.sources import (
    Source,
    check_sources,
    content_hash,
    describe_source,
    reason_of,
)

__all__ = [
    "EXTENSIONS",
    "ImageReader",
    "Listing",
    "Rule",
    "Source",
    "check_sources",
    "content_hash",
    "describe_source",
    "list_images",
    "map_images",
    "natural_key",
    "read_image",
    "read_mask",
    "reason_of",
    "scan_folder",
    "warn_unreadable",
]
