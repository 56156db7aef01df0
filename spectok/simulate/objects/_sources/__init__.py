"""Template files to template families."""

from ._build import build_templates

__all__ = ["build_templates"]
