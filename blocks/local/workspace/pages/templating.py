"""The templates, and what they can use."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined

from blocks.local.workspace.pages import formatting

TEMPLATES = Environment(
    loader=PackageLoader("blocks.local.workspace.pages"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.filters.update(
    moment=formatting.moment,
    duration=formatting.duration,
    state_name=formatting.state_name,
    state_class=formatting.state_class,
    work=formatting.work,
    parameters=formatting.parameters,
    markdown=formatting.markdown,
    frame_height=formatting.frame_height,
)
