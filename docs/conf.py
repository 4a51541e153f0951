"""Configuration of Sphinx. Nothing here needs a network."""

import inspect
import os
import shutil
import sys
from pathlib import Path

import matplotlib as mpl
from numpydoc.xref import DEFAULT_LINKS

import pydlnet

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE / "_extensions")]

from public_names import public_names  # noqa: E402

# The gallery runs scripts where they are. What the examples write must not land among them.
EXAMPLES = HERE / "_build" / "examples"
shutil.rmtree(EXAMPLES, ignore_errors=True)
shutil.copytree(HERE.parent / "examples", EXAMPLES)
shutil.copy(
    HERE / "_templates" / "examples_header.rst", EXAMPLES / "GALLERY_HEADER.rst"
)

project = "pydlnet"
author = copyright = "The pydlnet developers"
version = release = pydlnet.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
    "sphinx_copybutton",
    "glossary",
    "mathml",
    "reference",
]
source_suffix = {".rst": "restructuredtext", ".md": "markdown"}
exclude_patterns = ["_build", "**/GALLERY_HEADER.rst"]
default_role = "py:obj"  # names in single backticks: links where they are public
nitpicky = True

myst_enable_extensions = ["dollarmath", "deflist", "colon_fence"]
myst_heading_anchors = 3

templates_path = ["_templates"]
autosummary_generate = True
autodoc_typehints = "none"  # numpydoc's type slots say more: shapes, dtypes and ranges
autodoc_member_order = "bysource"
# The template of classes lists members, with their docstrings.
numpydoc_show_class_members = False
# The classes of the package are links where they stand for a type. Other words are none: numpydoc's
# own links lead to other sites, whose names a build without a network cannot look up.
numpydoc_xref_param_type = True
numpydoc_xref_ignore = "all"
numpydoc_xref_aliases = {word: word for word in DEFAULT_LINKS} | {
    name: f"{module}.{name}"
    for module, name, value in public_names()
    if inspect.isclass(value)
}

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

mpl.rcParams.update({"figure.dpi": 100, "savefig.dpi": 100})
os.environ.setdefault("TQDM_DISABLE", "1")  # no progress bars among what scripts print
sphinx_gallery_conf = {
    "examples_dirs": ["results", "numbers", str(EXAMPLES)],
    "gallery_dirs": ["gallery/results", "gallery/numbers", "gallery/examples"],
    "filename_pattern": r"\.py$",
    "image_scrapers": ("figures.scraper",),
    "within_subsection_order": "FileNameSortKey",
    "download_all_examples": False,
    "show_memory": False,
    "capture_repr": ("_repr_html_",),
    "write_computation_times": False,  # its page would load scripts from elsewhere
    "min_reported_time": 1,
    "remove_config_comments": True,
}

html_theme = "furo"
html_title = "pydlnet"
html_static_path = ["_static"]
html_css_files = ["pydlnet.css"]
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True, "top_of_page_buttons": []}
html_copy_source = False
