"""Reads the Markdown pages of the project, for tests of what they say."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

PROJECT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Document:
    """One page.

    Attributes:
        name: Its path inside the project.
    """

    name: str

    @property
    def path(self) -> Path:
        """Where it is."""
        return PROJECT / self.name

    @property
    def text(self) -> str:
        """All of it."""
        return self.path.read_text()

    @property
    def _tokens(self) -> list[Token]:
        return MarkdownIt().enable("table").parse(self.text)

    def fences(self, language: str) -> list[str]:
        """Return the code blocks of a language, in order."""
        return [
            token.content
            for token in self._tokens
            if token.type == "fence" and token.info == language
        ]

    @property
    def links(self) -> list[str]:
        """What its links and pictures lead to, in order."""
        inside = [child for token in self._tokens for child in token.children or []]
        return [
            str(child.attrs["href" if child.type == "link_open" else "src"])
            for child in inside
            if child.type in ("link_open", "image")
        ]

    @property
    def anchors(self) -> set[str]:
        """Where a link's ``#…`` may lead, as GitHub makes them of the headings."""
        headings = [
            after.content for token, after in pairwise(self._tokens) if token.type == "heading_open"
        ]
        return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}

    def rows(self, first_heading: str) -> list[list[str]]:
        """Return the cells of the table whose first column has this heading, without the head."""
        tables = re.findall(r"(?:^\|.*\n)+", self.text, re.MULTILINE)
        (table,) = [each for each in tables if each.startswith(f"| {first_heading} |")]
        return [
            [cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]
        ]


README = Document("README.md")
PRODUCTION = Document("blocks/PRODUCTION.md")
WORKSPACE = Document("blocks/local/workspace/README.md")
DOCUMENTS = [README, PRODUCTION, WORKSPACE]
