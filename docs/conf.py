"""Settings of the documentation: those shared by astropy packages, and our own."""

import os
import re

from sphinx_astropy.conf.v3 import *

import spectok

project = "spectok"
author = "the spectok developers"
copyright = "2026, the spectok developers"
version = release = spectok.__version__

extensions += ["myst_nb", "sphinx_gallery.gen_gallery"]
exclude_patterns += ["_build", "examples", "**.ipynb_checkpoints", "gallery/*.ipynb"]
highlight_language = "python3"

# The shared settings leave no theme options behind: assign, do not update.
html_theme_options = {"logo": {"text": "spectok"}}
html_title = f"spectok {release}"

intersphinx_mapping["specutils"] = ("https://specutils.readthedocs.io/en/stable/", None)
intersphinx_mapping["torch"] = ("https://docs.pytorch.org/docs/stable/", None)

# Notebooks and examples are run at every build, and must run.
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "gallery",
    # What fetches is shown, and run only where somebody says that there is a network.
    "filename_pattern": r"plot_" if os.environ.get("SPECTOK_NETWORK") else r"plot_\d+_(?!fetch)",
    "abort_on_example_error": True,
    "within_subsection_order": "FileNameSortKey",
    "doc_module": ("spectok",),
    "reference_url": {"spectok": None},
    "backreferences_dir": None,
    # Tables are shown, and not what a call of matplotlib happens to return.
    "capture_repr": ("_repr_html_",),
    "remove_config_comments": True,
    "show_memory": False,
    "show_signature": False,
    "download_all_examples": False,
}


def _without_roles(app, what, name, obj, options, lines):
    """Methods that scikit-learn writes into its heirs refer to its own pages: keep the words."""
    if what == "method" and name.endswith("_request"):
        lines[:] = [
            re.sub(r":(?:ref|term):`([^`<]*?) ?(?:<[^>]*>)?`", r"\1", one) for one in lines
        ]


def setup(app):
    """What Sphinx asks this file for."""
    app.connect("autodoc-process-docstring", _without_roles)
