"""Find what a docstring calls by its last name alone: ``ImageReadError``.

Sphinx looks for a short name in the module of the page only. Here a name that is left
over is the one public name of featad that ends in it, if there is only one.
"""

from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment


def setup(app: Sphinx) -> dict[str, Any]:
    """Listen to what Sphinx does not find."""
    app.connect("missing-reference", _by_last_name)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _by_last_name(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement
) -> nodes.reference | None:
    if node.get("refdomain") != "py":
        return None
    domain = env.domains.python_domain
    ending = "." + node["reftarget"].removeprefix("featad.")
    found = [name for name in domain.objects if name.endswith(ending)]
    if len(found) != 1:
        return None
    return domain.resolve_xref(
        env, node["refdoc"], app.builder, node["reftype"], found[0], node, content
    )
