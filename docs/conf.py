"""How Sphinx builds the site: ``make docs``.

The source folder is the root of the project, not ``docs/``. CONTRIBUTING.md,
ARCHITECTURE.md, CHANGELOG.md and ``benchmarks/results`` are pages where they lie, and
a link from one Markdown file to another works on the site as it does in the repository.

The site asks no other host for anything, neither when it is built nor when it is read.
There are no inventories of other projects for this reason: types in docstrings, such
as ``ndarray`` or ``Pipeline``, are plain text, and every reference that is marked as
one has to be found in featad itself. It is built from the root of the project, with
``python -m sphinx``, which finds the extensions in ``docs/``.
"""

from pathlib import Path

import featad

project = "featad"
author = "the authors of featad"
project_copyright = author
version = release = featad.__version__

root_doc = "docs/index"
include_patterns = [
    "docs/**",
    "benchmarks/results/*.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "data/README.md",
]
exclude_patterns = [
    "docs/_build",
    "docs/_templates",
    ".venv",
    "build",
    "featad",
    "tests",
]

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_gallery.gen_gallery",
    "docs.checks",
    "docs.docstrings",
    "docs.families",
    "docs.mathml",
]
templates_path = [
    str(Path(__file__).with_name("_templates"))
]  # autosummary looks below the source
smartquotes = False  # defaults in docstrings are code
nitpicky = True
nitpick_ignore_regex = [
    ("py:.*", r"(sklearn|numpy|torch)\..*"),
    (
        "py:obj",
        r"coef_|n_support_|named_steps|kernel=.*",
    ),  # inherited from scikit-learn
]

# Pages in Markdown
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3

# Docstrings
default_role = "py:obj"
autodoc_typehints = "none"
autosummary_ignore_module_all = False
numpydoc_show_class_members = False  # the template of classes lists them in full

# The gallery: scripts that run while the site is built
sphinx_gallery_conf = {
    "examples_dirs": "docs/gallery",
    "gallery_dirs": "docs/auto_gallery",
    "filename_pattern": r"\.py$",
    "within_subsection_order": "FileNameSortKey",
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "write_computation_times": False,
    "abort_on_example_error": False,
    "only_warn_on_example_error": True,
}

# How it looks
html_theme = "furo"
html_title = f"featad {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["sortable.js"]
html_additional_pages = {"index": "to_docs.html"}
html_math_renderer = "mathml"
html_show_copyright = False
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {"navigation_with_keys": True}
