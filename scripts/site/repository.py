"""Pages of the site that are files elsewhere in the repository, and links between all of them.

The files are written for the repository, where their links lead from one to the other. On the site a link to one
that is a page leads to that page, one to a folder to the page of its README, and one to any other file to a copy.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]

LINK = re.compile(r"(?<=\]\()(?![a-z+]+:|#)([^)\s#]+)")
"""The target of a link to a file, without the place in it."""

FILES = "files"
"""The folder of the site that has copies of files which are no pages."""


def pages() -> dict[str, str]:
    """The pages from outside of `docs`, by their paths in the repository."""
    examples = sorted(ROOT.glob("examples/*/README.md"))
    return {
        "README.md": "index.md",
        "CHANGELOG.md": "changelog.md",
        "CONTRIBUTING.md": "contributing.md",
        "deploy/README.md": "deploy.md",
        **{
            f"examples/{it.parent.name}/README.md": f"examples/{it.parent.name}.md"
            for it in examples
        },
    }


PAGES = pages()
ORIGINS = {page: path for path, page in PAGES.items()}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages, and the files that any page links to."""
    for path, name in PAGES.items():
        files.append(File.generated(config, name, abs_src_path=str(ROOT / path)))
    for page in [file for file in files if file.is_documentation_page()]:
        for target in LINK.findall(page.content_string):
            path = in_repository(page.src_uri, target)
            copy = f"{FILES}/{path}"
            if place(path) == copy and (ROOT / path).is_file() and copy not in files.src_uris:
                files.append(File.generated(config, copy, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, *, page: Page, **_: object) -> str:
    """Have links lead to places of the site."""
    here = page.file.src_uri

    def lead(link: re.Match[str]) -> str:
        there = place(in_repository(here, link[1]))
        return posixpath.relpath(there, posixpath.dirname(here))

    return LINK.sub(lead, markdown)


def in_repository(page: str, target: str) -> str:
    """The path in the repository of what a page links to."""
    origin = ORIGINS.get(page, f"docs/{page}")
    return posixpath.normpath(posixpath.join(posixpath.dirname(origin), target))


def place(path: str) -> str:
    """Where the site has a file of the repository."""
    if (ROOT / path).is_dir():
        path = f"{path}/README.md"
    if path in PAGES:
        return PAGES[path]
    inside = path.removeprefix("docs/")
    return inside if inside != path else f"{FILES}/{path}"
