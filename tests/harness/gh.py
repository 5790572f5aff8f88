"""Stands in for GitHub's `gh`: answers of a file, through jq for `--jq`; keeps what is said."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from argparse import ArgumentParser
from pathlib import Path

HERE = Path(os.environ["STAND_IN"])
OPTIONS = ("--jq", "--json", "--app", "--state", "--body-file", "--title", "--name", "--dir")


def main() -> None:
    """Answer one command."""
    for name in ("GH_TOKEN", "GH_REPO"):
        if not os.environ.get(name):
            sys.exit(f"gh: {name} is not set")
    parser = ArgumentParser(allow_abbrev=False)
    parser.add_argument("words", nargs="+")
    for option in OPTIONS:
        parser.add_argument(option)
    given = parser.parse_args()
    match given.words:
        case ["api", path]:
            show(path, given.jq)
        case ["issue", "list"]:
            assert (given.app, given.state) == ("github-actions", "open")
            show("issues", given.jq)
        case ["run", "download", run]:
            shutil.copytree(HERE / "artifacts" / run / given.name, given.dir)
        case ["pr", "comment", _] | ["issue", "comment", _] | ["issue", "create"]:
            text = Path(given.body_file).read_text()
            said = {"words": given.words, "title": given.title, "text": text}
            with (HERE / "said.jsonl").open("a") as file:
                file.write(json.dumps(said) + "\n")
        case _:
            sys.exit(f"gh: nothing stands in for {given.words}")


def show(what: str, query: str) -> None:
    """Print of an answer what a query finds in it."""
    answers = json.loads((HERE / "answers.json").read_text())
    if what not in answers:
        sys.exit(f"gh: Not Found (HTTP 404): {what}")
    subprocess.run(["jq", "-r", query], input=json.dumps(answers[what]), text=True, check=True)  # noqa: S607


main()
