"""Images from files, bytes, PIL images and arrays; the only place that decodes."""

from featad.images.listing import (
    EXTENSIONS,
    Listing,
    Rule,
    list_images,
    natural_key,
    scan_folder,
)
from featad.images.mapping import label_rows, map_images, warn_unreadable
from featad.images.masks import read_mask
from featad.images.notes import Notes
from featad.images.read import read_image
from featad.images.reader import ImageReader
from featad.images.sources import (
    Source,
    as_text,
    check_sources,
    content_hash,
    describe_source,
    local_path,
    reason_of,
)

__all__ = [
    "EXTENSIONS",
    "ImageReader",
    "Listing",
    "Rule",
    "Notes",
    "Source",
    "as_text",
    "check_sources",
    "content_hash",
    "describe_source",
    "label_rows",
    "list_images",
    "local_path",
    "map_images",
    "natural_key",
    "read_image",
    "read_mask",
    "reason_of",
    "scan_folder",
    "warn_unreadable",
]
