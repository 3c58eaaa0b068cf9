"""The embedded endpoint: llama.cpp's OpenAI-compatible server inside this process, on loopback, behind a random key.

What callers meet there, as measured (xllamacpp 2026.10):

- `response_format` json_schema becomes a grammar and holds, with `pattern` (anchored `^…$`), `enum`, `minItems` and
  `maxItems`. An answer is valid JSON unless it was cut: then `finish_reason` is "length". Patterns should be wide: one
  that leaves a small model no likely word makes it write noise.
- `seed`, `temperature`, `max_tokens`, `stop` and `usage` work. A request repeated alone gets the same answer; llama.cpp
  does not promise it for one that is batched with others.
- Prompts are cached by their beginning, in the slots and then in RAM: `usage.prompt_tokens_details.cached_tokens`. Put
  what requests share (instructions, then the document) first. `n` above 1 counts the tokens of one choice only.
- 401 without the key. 400 for a prompt longer than a slot's context, with the size of both; no retry helps.
- A request beyond the slots waits in the server's queue, without limit: its time counts against the client's timeout.
"""

from __future__ import annotations

import os
import secrets
from typing import Any

from actors.local_model import find_model
from cluster.errors import UserError

SLOTS = 4
CONTEXT = 2_048
MOST_THREADS = 4

_CACHE_MIB = 256  # of prompts that left their slot; the server's own default is 8 GiB
_SAME_PROMPT = 0.3  # the shared part from which on a request goes to the slot that has its beginning
_AGAINST_LOOPS = 0.3  # frequency penalty of requests that name none; without, every tenth small-model answer is a loop
_SILENT = -1


class ModelServer:
    """Serves one model from the first call of `endpoint` until `close`, or the end of the process.

    `slots` requests are answered together, each within `context` tokens of prompt and answer. The threads sleep while
    they wait for each other: spinning, which is the default, makes two of them stand still on a busy machine.
    """

    def __init__(self, model: str, slots: int = SLOTS, context: int = CONTEXT, threads: int | None = None) -> None:
        self._model, self._slots, self._context = model, slots, context
        self._threads = threads or min(MOST_THREADS, os.cpu_count() or 1)
        self._key = secrets.token_urlsafe(32)
        self._server: Any = None

    def endpoint(self) -> tuple[str, str]:
        """The base URL, ending in /v1, and the key. Loads the model at the first call; `UserError` where it cannot."""
        if self._server is None:
            self._server = self._started()
        return f"{self._server.listening_address}/v1", self._key

    def _started(self) -> Any:
        path = find_model(self._model)
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # read once, when llama.cpp is loaded
        try:
            import xllamacpp
        except ImportError as error:
            raise UserError(f"the embedded endpoint needs xllamacpp ({error}): pip install 'populace[local]'") from None
        try:
            return xllamacpp.Server(self._parameters(xllamacpp.CommonParams(), str(path)))
        except RuntimeError:
            raise UserError(f"llama.cpp cannot load the model {self._model} from {path}: is the file whole?") from None

    def _parameters(self, given: Any, path: str) -> Any:
        given.model.path, given.model_alias = path, {self._model}
        given.hostnames, given.port = ["127.0.0.1"], 0
        given.api_keys, given.cors_origins = [self._key], ""
        given.ui = given.endpoint_slots = given.fit_params = False
        given.n_parallel, given.n_ctx = self._slots, self._slots * self._context
        given.cont_batching = given.cache_prompt = True
        given.cache_ram_mib, given.slot_prompt_similarity = _CACHE_MIB, _SAME_PROMPT
        given.sampling.penalty_freq = _AGAINST_LOOPS
        given.cpuparams.n_threads = given.cpuparams_batch.n_threads = self._threads
        given.verbosity = _SILENT
        return given

    def pid(self) -> int:
        """The process, for tables of memory and for tests that end it."""
        return os.getpid()

    def close(self) -> None:
        """Stop serving. Only while no call is in flight: llama.cpp would wait for its client, and hold the process."""
        self._server = None
