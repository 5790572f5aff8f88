"""Pages as a parser sees them, which finds what a browser would silently mend."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

_VOID = frozenset({"meta", "br", "hr", "img", "input", "link"})
_LOADING = frozenset({"src", "srcset", "data", "poster", "action", "background"})


class Page(HTMLParser):
    """A page: its text, its links, and what is wrong with it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""
        self.style = ""
        self.policy = ""
        self.title = ""
        self.links: list[str] = []
        self.ids: Counter[str] = Counter()
        self.headings: list[int] = []
        self.wrong: list[str] = []
        self.feed(text)
        self.close()

    @classmethod
    def read(cls, path: Path) -> Page:
        """The page in a file; it has to be sound."""
        page = cls(path.read_text(encoding="utf-8"))
        assert page.faults(path.parent) == []
        return page

    def faults(self, folder: Path | None = None) -> list[str]:
        """What is wrong with the page; links are followed in a folder."""
        found = [*self.wrong, *(f"<{tag}> is not closed" for tag in self.open)]
        found += [f"the id {one} stands twice" for one, count in self.ids.items() if count > 1]
        if not self.title.strip():
            found.append("it has no title")
        if self.headings[:1] != [1] or self.headings.count(1) != 1:
            found.append("it does not begin with its only h1")
        found += [
            f"h{after} follows h{before}"
            for before, after in zip(self.headings, self.headings[1:], strict=False)
            if after > before + 1
        ]
        digest = base64.b64encode(hashlib.sha256(self.style.encode()).digest()).decode()
        if f"default-src 'none'; style-src 'sha256-{digest}'" not in self.policy:
            found.append("its policy does not fit its style")
        for link in self.links:
            file, _, anchor = link.partition("#")
            if re.match(r"[a-z]+:|//", link):
                found.append(f"{link} is elsewhere")
            elif not file:
                found += [] if anchor in self.ids else [f"there is no {link}"]
            elif folder and not (folder / file).is_file():
                found.append(f"there is no {file}")
            elif folder and anchor and anchor not in Page((folder / file).read_text()).ids:
                found.append(f"there is no {link}")
        return found

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag not in _VOID:
            self.open.append(tag)
        if tag in {"script", "iframe", "object", "embed", "link", "base", "form"}:
            self.wrong.append(f"<{tag}>")
        self.wrong += [f"{name}=" for name in given if name in _LOADING or name.startswith("on")]
        self.wrong += ["style="] if "style" in given else []
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given["content"]
        if "href" in given:
            self.links.append(given["href"])
        if "id" in given:
            self.ids[given["id"]] += 1
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"</{tag}> closes nothing")

    def handle_data(self, data: str) -> None:
        if "style" in self.open:
            self.style += data
        elif self.open[-2:] == ["head", "title"]:
            self.title += data
        else:
            self.text += data
