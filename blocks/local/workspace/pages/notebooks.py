"""An executed notebook as one HTML document that stands alone, for ``runs/export``."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

from blocks.local.workspace.notebook.contract import CellOutput
from blocks.local.workspace.pages.templating import TEMPLATES


def notebook_document(path: str, cells: Sequence[CellOutput]) -> str:
    """Return the document: the cells with their sources and outputs, and the styles inside.

    Args:
        path: Workspace path, for the title.
        cells: As they were executed.
    """
    style = files("blocks.local.workspace.pages").joinpath("static/workspace.css").read_text()
    return TEMPLATES.get_template("export.html").render(path=path, cells=cells, style=style)
