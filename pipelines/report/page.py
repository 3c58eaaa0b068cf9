"""Puts a page together from its template, its styles and scripts, and what it shows.

What is shown comes in as data, never as code: it lies in an element that no browser runs, with nothing in it that could
end that element; and the page's own policy runs no script but those that it was made of.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from pipelines.report.vega import vega

_SCRIPTS = ("dom.js", "charts.js", "figures.js", "time.js", "map.js", "trees.js", "talks.js", "main.js")
_POLICY = "default-src 'none'; {scripts}; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


def page(content: Mapping[str, Any]) -> str:
    """The report as one page."""
    charts, script = vega(), joined(_SCRIPTS)
    return filled(
        "report.html",
        policy=policy([charts, script]),
        title=escape(str(content["run"]["name"])),
        css=source("report.css"),
        data=as_json(content),
        charts=charts,
        script=script,
    )


def filled(template: str, **values: str) -> str:
    """The template with each `{name}` replaced once; values are taken as they are."""
    text, found = source(template), []
    for name, value in values.items():
        before, mark, text_after = text.partition("{" + name + "}")
        if not mark:
            raise ValueError(f"{template} has no {{{name}}}")
        found += [before, value]
        text = text_after
    return "".join([*found, text])


def joined(names: Sequence[str]) -> str:
    """These scripts as one, whose names are nobody else's."""
    return '"use strict";(() => {\n' + "\n".join(source(name) for name in names) + "})();"


def policy(scripts: Sequence[str], extra: str = "") -> str:
    """Runs these scripts alone, by their digests, and loads nothing."""
    digests = (base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in scripts)
    allowed = "script-src " + " ".join(f"'sha256-{one}'" for one in digests)
    return "; ".join(filter(None, [_POLICY.format(scripts=allowed), extra]))


def source(name: str) -> str:
    """A file of this package's folder `page`."""
    return (files("pipelines.report") / "page" / name).read_text(encoding="utf-8")


def as_json(value: object) -> str:
    """Compact, and nothing in it that could end a script element or a line of JavaScript."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for one in "<>&\u2028\u2029":
        text = text.replace(one, f"\\u{ord(one):04x}")
    return text
