"""What every page of ours shares: autoescaped templates that allow their own style and script and nothing else."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, StrictUndefined, Template


@cache
def page_template(package: str, name: str) -> Template:
    """The template `<name>.html.jinja` in one of our packages; whatever is inserted is escaped."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["content_hash"] = content_hash
    source = resources.files(package).joinpath(f"{name}.html.jinja").read_text(encoding="utf-8")
    return environment.from_string(source)


def content_hash(text: str) -> str:
    """The Content-Security-Policy source that allows exactly this inline style or script."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def script_data(data: Mapping[str, Any]) -> str:
    """Compact ASCII JSON that cannot end the script element it is in."""
    text = json.dumps(data, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def whole_text(page: str) -> str:
    """A page that UTF-8 can encode: lone surrogates, from file names that are not UTF-8, are replaced."""
    return page.encode("utf-8", "replace").decode("utf-8")
