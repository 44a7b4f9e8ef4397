"""Sphinx: the pages are Markdown, the reference comes from the docstrings."""

from __future__ import annotations

from importlib.metadata import version as installed_version

from twisted.internet.interfaces import IAddress, IReactorTime

project = "pode_signals"
author = "pode_signals contributors"
copyright = "2026, pode_signals contributors"
release = installed_version("pode_signals")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"pode_signals {release}"

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_numpy_docstring = False
napoleon_use_ivar = True
myst_heading_anchors = 3

# Sphinx writes a type by its __qualname__, which the interfaces of zope lack.
for interface in (IAddress, IReactorTime):
    interface.__qualname__ = interface.__name__
