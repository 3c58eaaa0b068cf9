"""The charting library that pages hold: Vega, Vega-Lite and vega-embed, as `vl-convert-python` brings them.

Bundling takes two seconds and 120 MB, so it is done in a process of its own, and once: the bundle of a version is kept
beside the downloaded models.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from cluster.errors import Halt
from cluster.files import write_atomically

_BUNDLE = "import sys, vl_convert; sys.stdout.buffer.write(vl_convert.javascript_bundle().encode())"
_TIMEOUT_S = 120


def vega() -> str:
    """JavaScript that defines `vegaEmbed` and `vega`, fit to stand in a script element."""
    path = _cache() / f"vega-{version('vl-convert-python')}.js"
    with suppress(OSError):
        return path.read_text(encoding="utf-8")
    bundle = _bundled().replace("</script", "<\\/script").replace("<!--", "<\\!--")
    with suppress(OSError, Halt):  # a folder that cannot be written to costs two seconds, nothing more
        write_atomically(path, bundle)
    return bundle


def _bundled() -> str:
    done = subprocess.run(
        [sys.executable, "-c", _BUNDLE], capture_output=True, check=True, timeout=_TIMEOUT_S, stdin=subprocess.DEVNULL
    )
    return done.stdout.decode()


def _cache() -> Path:
    return Path(os.environ.get("POPULACE_CACHE") or "~/.cache/populace").expanduser() / "pages"
