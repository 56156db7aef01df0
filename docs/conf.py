"""Settings of the documentation: those shared by astropy packages, and our own."""

import re

from sphinx_astropy.conf.v3 import *

import spectok

project = "spectok"
author = "the spectok developers"
copyright = "2026, the spectok developers"
version = release = spectok.__version__

exclude_patterns.append("_build")
highlight_language = "python3"

# The shared settings leave no theme options behind: assign, do not update.
html_theme_options = {"logo": {"text": "spectok"}}
html_title = f"spectok {release}"

intersphinx_mapping["specutils"] = ("https://specutils.readthedocs.io/en/stable/", None)
intersphinx_mapping["torch"] = ("https://docs.pytorch.org/docs/stable/", None)


def _without_roles(app, what, name, obj, options, lines):
    """Methods that scikit-learn writes into its heirs refer to its own pages: keep the words."""
    if what == "method" and name.endswith("_request"):
        lines[:] = [
            re.sub(r":(?:ref|term):`([^`<]*?) ?(?:<[^>]*>)?`", r"\1", one) for one in lines
        ]


def setup(app):
    """What Sphinx asks this file for."""
    app.connect("autodoc-process-docstring", _without_roles)
