"""One block of Markdown → lines for a terminal. Imports rich: load it only when something is rendered."""

from __future__ import annotations

import io
from typing import ClassVar

from markdown_it import MarkdownIt
from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import CodeBlock, Heading, ImageItem, Markdown, MarkdownElement, TableElement
from rich.segment import Segment
from rich.style import Style
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text
from rich.theme import Theme

# No backgrounds and only the terminal's own colours: it may be light or dark.
_THEME = Theme(
    {
        "markdown.code": "cyan",
        "markdown.block_quote": "italic",
        "markdown.h1": "bold underline",
        "markdown.h2": "bold",
        "markdown.h3": "bold",
        "markdown.h4": "italic",
        "markdown.link": "cyan",
        "markdown.link_url": "dim underline",
        "markdown.item.bullet": "dim",
        "markdown.item.number": "dim",
        "markdown.table.border": "dim",
        "markdown.table.header": "bold",
    }
)
_BAR = Segment("│ ", Style(dim=True))


class MarkdownScreen:
    """Renders blocks for a terminal of one width (cells)."""

    def __init__(self, *, width: int, is_coloured: bool) -> None:
        self.width = width
        self._console = Console(
            file=io.StringIO(),
            width=width,
            theme=_THEME,
            force_terminal=is_coloured,
            color_system="standard" if is_coloured else None,
            no_color=not is_coloured,  # the person's word counts, not what rich finds in the environment
            highlight=False,
            legacy_windows=False,
        )

    def lines(self, block: str) -> list[str]:
        """The block's lines, none wider than width, without empty ones around them."""
        with self._console.capture() as capture:
            self._console.print(_Answer(block))
        return [line.rstrip() for line in capture.get().strip("\n").split("\n")]


class _Code(CodeBlock):
    """Code behind a bar, in the terminal's own colours."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        code = str(self.text).rstrip()
        syntax = Syntax(code, self.lexer_name, theme="ansi_dark", word_wrap=True, background_color="default")
        narrower = options.update(width=options.max_width - 2)
        for line in console.render_lines(syntax, narrower, pad=False):
            yield _BAR
            yield from line
            yield Segment.line()


class _Heading(Heading):
    """A heading at the left, like everything else."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        text: Text = self.text.copy()
        text.justify = "left"
        yield text


class _Table(TableElement):
    """A table with one rule under its head and no frame."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, style="markdown.table.border")
        for cell in self.header.row.cells if self.header and self.header.row else ():
            table.add_column(cell.content, header_style="markdown.table.header", justify=cell.justify)
        for row in self.body.rows if self.body else ():
            table.add_row(*(cell.content for cell in row.cells))
        yield table


class _Image(ImageItem):
    """An image as its text and address: neither may get lost."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text.assemble(self.text or "image", " (", (self.destination, "dim underline"), ")", end="")


class _Answer(Markdown):
    """Markdown as models write it: line breaks are meant, and what looks like HTML is text."""

    elements: ClassVar[dict[str, type[MarkdownElement]]] = {
        **Markdown.elements,
        "fence": _Code,
        "code_block": _Code,
        "heading_open": _Heading,
        "table_open": _Table,
        "image": _Image,
    }

    def __init__(self, markup: str) -> None:
        super().__init__(markup, hyperlinks=False)
        self.parsed = MarkdownIt("commonmark", {"html": False}).enable(["strikethrough", "table"]).parse(markup)
        for token in self.parsed:
            for child in token.children or ():
                if child.type == "softbreak":
                    child.type = "hardbreak"
