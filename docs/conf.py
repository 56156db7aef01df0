"""Settings of the documentation: those shared by astropy packages, and our own."""

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
