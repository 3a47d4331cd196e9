"""For `make docs`: a link from a page to a file of the repository that is not on the site becomes its path."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
_LINK = re.compile(r"\[([^\]]+)\]\(((?:\.\./)+[^)#\s]+)(#[^)\s]*)?\)")


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Raises FileNotFoundError for one that is not there."""
    directory = Path(page.file.abs_src_path).parent

    def shown(link: re.Match[str]) -> str:
        target = (directory / link[2]).resolve()
        if target.is_relative_to(ROOT / "docs"):
            return link[0]
        if not target.exists():
            raise FileNotFoundError(f"{page.file.src_path}: {link[2]} leads nowhere")
        path = target.relative_to(ROOT)
        return f"`{path}`" if link[1].strip("`") in (str(path), path.name) else f"{link[1]} (`{path}`)"

    return _LINK.sub(shown, markdown)
