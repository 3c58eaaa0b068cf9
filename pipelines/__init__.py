"""What is made, in which order: documents, personas, conversations, and what a person sees of them.

`from pipelines import ConversationGenerator, …` is the Python API, `pipelines.api`; it is loaded when a class of it is
asked for, so that the commands answer at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipelines.api import *  # noqa: F403


def __getattr__(name: str) -> Any:
    if name[0].isupper():  # modules are not
        from pipelines import api

        if name in api.__all__:
            return getattr(api, name)
    raise AttributeError(f"module 'pipelines' has no attribute {name!r}")


def __dir__() -> list[str]:
    from pipelines import api

    return sorted([*globals(), *api.__all__])
