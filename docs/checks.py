"""What has to hold of the built site. Each breach is a warning, which ends `make docs`.

- No page asks another host for anything; links that a reader clicks may lead there.
- The search finds what people look for.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.util import logging

WORDS = ("heat", "map", "gridsearchcv", "valu")  # "p-value" is looked up by its stem
_LOADED = (
    r"<(?:script|img|iframe|source|video|audio|embed|input)\b[^>]*?\bsrc=\"([^\"]+)\"",
    r"<link\b(?=[^>]*\brel=\"(?:stylesheet|preload|icon|manifest)[^\"]*\")"
    r"[^>]*?\bhref=\"([^\"]+)\"",
)
_IN_STYLES = (r"url\(\s*[\"']?((?:https?:)?//[^)\"']+)", r"@import\s+[\"']([^\"']+)")


def setup(app: Sphinx) -> dict[str, Any]:
    """Look at the site once it is written."""
    app.connect("build-finished", _check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _check(app: Sphinx, exception: Exception | None) -> None:
    if exception is not None or app.builder.name != "html":
        return
    logger = logging.getLogger(__name__)
    for found in foreign_resources(Path(app.outdir)):
        logger.warning("%s is loaded from another host", found)
    for word in missing_words(Path(app.outdir), WORDS):
        logger.warning("the search does not know %r", word)


def foreign_resources(folder: Path) -> list[str]:
    """Return what pages and styles load from other hosts.

    Parameters
    ----------
    folder : Path
        Where the site is.

    Returns
    -------
    found : list of str
        "page: address".
    """
    found = []
    for path in sorted(folder.rglob("*")):
        patterns = {".html": (*_LOADED, *_IN_STYLES[:1]), ".css": _IN_STYLES}
        if path.suffix in patterns:
            text = path.read_text(encoding="utf-8")
            for pattern in patterns[path.suffix]:
                found += [
                    f"{path.relative_to(folder)}: {address}"
                    for address in re.findall(pattern, text)
                    if re.match(r"(https?:)?//", address)
                ]
    return found


def missing_words(folder: Path, words: Iterable[str]) -> list[str]:
    """Return words that the search of a site does not find.

    Parameters
    ----------
    folder : Path
        Where the site is.

    words : iterable of str
        Stems, in lower case.

    Returns
    -------
    missing : list of str
    """
    index = (folder / "searchindex.js").read_text(encoding="utf-8")
    terms = index[index.index('"terms":') :]
    return [w for w in words if not re.search(rf'[{{,]"?{re.escape(w)}"?:', terms)]
