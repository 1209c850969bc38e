"""The directive ``family``: what the docstrings of classes say of their methods.

A page that explains a family of methods names its classes; what each does, how it
differs from its source, and what the source is, stands in the docstring alone.
"""

import re
from inspect import getdoc
from typing import Any

from docutils import nodes
from numpydoc.docscrape import NumpyDocString
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import featad


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the directive."""
    app.add_directive("family", Family)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


class Family(SphinxDirective):
    """A section for each class that the content names, one a line."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the sections."""
        text = "\n".join(_section(name.strip()) for name in self.content if name)
        return self.parse_text_to_nodes(text, allow_section_headings=True)


def _section(name: str) -> str:
    doc = NumpyDocString(getdoc(getattr(featad, name)) or "")
    notes, sources = "\n".join(doc["Notes"]), "\n".join(doc["References"])
    return "\n".join(
        [
            f"{name}\n{'~' * len(name)}\n",
            f":py:class:`featad.{name}`: {' '.join(doc['Summary'])}\n",
            re.sub(r"\[(\d+)\]_", r"[\1]", notes),
            "",
            re.sub(r"^\.\. \[(\d+)\]", r"\1.", sources, flags=re.M),
            "",
        ]
    )
