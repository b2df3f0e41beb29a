"""Sphinx's configuration: `make docs`. Nothing is fetched while it builds; pages load nothing from elsewhere."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent / "src")]

from kogner import __version__  # noqa: E402

project = "KoGNER"
author = "The KoGNER authors"
copyright = "The KoGNER authors, Apache-2.0"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_click", "from_code"]
exclude_patterns = ["_ext", "_static"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True}
python_use_unqualified_type_names = True
default_role = "literal"
smartquotes = False  # `--option` stays two hyphens
add_module_names = False

html_theme = "pydata_sphinx_theme"
html_title = f"KoGNER {version}"
html_static_path = ["_static"]
html_css_files = ["kogner.css"]
html_show_sourcelink = False
# Pages that stand alone have no neighbours to list at their side.
html_sidebars = {
    page: []
    for page in (
        "start",
        "formats",
        "evidence",
        "comparison",
        "scale",
        "troubleshooting",
        "architecture",
        "decisions",
        "results",
    )
}
html_copy_source = False
html_theme_options = {
    "logo": {"text": "KoGNER"},
    "navbar_align": "left",
    "header_links_before_dropdown": 9,
    "navbar_end": ["theme-switcher"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "show_prev_next": True,
    "show_toc_level": 2,
    "secondary_sidebar_items": ["page-toc"],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
