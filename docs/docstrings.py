"""What the site makes of docstrings, beyond numpydoc.

- What docstrings call by the last name alone (``ImageReadError``) is found. Sphinx
  looks for a short name in the module of the page only; here a name that is left over
  is the one public name of featad that ends in it, if there is only one.
- Methods that are scikit-learn's own, such as ``get_params``, or pandas', are left out:
  their docstrings refer to other sites.
"""

from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment


def setup(app: Sphinx) -> dict[str, Any]:
    """Listen to what Sphinx does not find, and to what it is about to show."""
    app.connect("missing-reference", _by_last_name)
    app.connect("autodoc-skip-member", _skip_those_of_others)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _by_last_name(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement
) -> nodes.reference | None:
    if node.get("refdomain") != "py":
        return None
    domain = env.domains.python_domain
    ending = "." + node["reftarget"].removeprefix("featad.")
    found = [
        name
        for name, entry in domain.objects.items()
        if name.endswith(ending) and not entry.aliased
    ]
    if len(found) != 1:
        return None
    return domain.resolve_xref(
        env, node["refdoc"], app.builder, node["reftype"], found[0], node, content
    )


def _skip_those_of_others(
    app: Sphinx, what: str, name: str, member: Any, skip: bool, options: Any
) -> bool | None:
    home = getattr(getattr(member, "fget", None) or member, "__module__", None) or ""
    is_request = name.startswith("set_") and name.endswith("_request")
    return True if home.startswith(("sklearn", "pandas")) or is_request else None
