"""The personas that are kept, as an index: exact forms and vectors, searched and added to in one step, and logged.

Owns the FAISS index and its log. Knows no Ray; one thread at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import faiss
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from actors.logic.near_duplicates import Candidate, Reason, Verdict, decide, form_key
from cluster.errors import UserError
from cluster.files import halt_on_disk_error


class PersonaIndex:
    """Cosine and exact-form look-up over kept personas: 1.5 kB a persona for 384 components, plus its id and form."""

    def __init__(self, threshold: float, dimension: int, log: IndexLog | None = None) -> None:
        self._threshold, self._log = threshold, log
        self._index = faiss.IndexFlatIP(dimension)
        self._ids: list[bytes] = []
        self._forms: dict[bytes, int] = {}
        for ids, forms, vectors in log.read(dimension) if log else ():
            self._add(ids, forms, vectors)

    def __len__(self) -> int:
        return len(self._ids)

    def exact(self, candidate: Candidate) -> Verdict | None:
        """A verdict where the form is known: refused, or admitted again where the candidate itself holds the form."""
        position = self._forms.get(form_key(candidate.text))
        if position is None:
            return None
        holder = self._ids[position].hex()
        if holder == candidate.persona_id:
            return Verdict(candidate.persona_id)
        return Verdict(candidate.persona_id, Reason.EXACT, holder, 1.0)

    def admit(self, candidates: Sequence[Candidate], vectors: NDArray[np.float32]) -> list[Verdict]:
        """Decide and keep in one step. `vectors` (n × d) are unit vectors; they are held as half-precision rounds them,
        so that decisions after a restart from the log are the decisions before it."""
        known = {row: verdict for row, one in enumerate(candidates) if (verdict := self.exact(one))}
        rows, echoes = self._distinct(candidates, known)
        fresh = [candidates[row] for row in rows]
        rounded = vectors[rows].astype(np.float16).astype(np.float32)
        scores, ids = self._nearest(rounded)
        verdicts = dict(zip(rows, decide(fresh, rounded @ rounded.T, scores, ids, self._threshold), strict=True))
        self._keep([(candidates[row], rounded[at]) for at, row in enumerate(rows) if verdicts[row].admitted])
        verdicts |= known
        return [verdicts[row] if row in verdicts else self._echo(candidates[row], verdicts[echoes[row]])
                for row in range(len(candidates))]  # fmt: skip

    def hold(self, candidates: Sequence[Candidate], vectors: NDArray[np.float32]) -> None:
        """Keep all of them but exact repeats, whatever they are near to."""
        known = {row: verdict for row, one in enumerate(candidates) if (verdict := self.exact(one))}
        rows, _ = self._distinct(candidates, known)
        self._keep([(candidates[row], vectors[row].astype(np.float16).astype(np.float32)) for row in rows])

    def _distinct(self, candidates: Sequence[Candidate], known: dict[int, Verdict]) -> tuple[list[int], dict[int, int]]:
        """Rows to be decided by their vectors, and for each exact repeat within the batch the row that it repeats."""
        first: dict[bytes, int] = {}
        echoes: dict[int, int] = {}
        for row, candidate in enumerate(candidates):
            if row not in known:
                earlier = first.setdefault(form_key(candidate.text), row)
                if earlier != row:
                    echoes[row] = earlier
        return list(first.values()), echoes

    def _echo(self, candidate: Candidate, first: Verdict) -> Verdict:
        if first.persona_id == candidate.persona_id:
            return first
        if first.reason is None:
            return Verdict(candidate.persona_id, Reason.EXACT, first.persona_id, 1.0)
        return Verdict(candidate.persona_id, first.reason, first.neighbour_id, first.score)

    def _nearest(self, vectors: NDArray[np.float32]) -> tuple[NDArray[np.float32], list[str]]:
        if not len(self._ids) or not len(vectors):
            return np.full(len(vectors), -1.0, dtype=np.float32), [""] * len(vectors)
        scores, positions = self._index.search(vectors, 1)
        return scores[:, 0], [self._ids[position].hex() for position in positions[:, 0]]

    def _keep(self, admitted: list[tuple[Candidate, NDArray[np.float32]]]) -> None:
        if not admitted:
            return
        ids = [bytes.fromhex(candidate.persona_id) for candidate, _ in admitted]
        forms = [form_key(candidate.text) for candidate, _ in admitted]
        vectors = np.stack([vector for _, vector in admitted])
        if self._log:
            self._log.append(ids, forms, vectors.astype(np.float16))
        self._add(ids, forms, vectors)

    def _add(self, ids: Sequence[bytes], forms: Sequence[bytes], vectors: NDArray[np.float32]) -> None:
        self._forms.update((form, len(self._ids) + at) for at, form in enumerate(forms))
        self._ids.extend(ids)
        self._index.add(np.ascontiguousarray(vectors, dtype=np.float32))


class IndexLog:
    """Admitted ids, forms and vectors, appended before they are answered: Arrow IPC streams, one per writer's life.

    A torn tail (the writer was killed in the middle) ends its stream; what was acknowledged stands before it.
    """

    def __init__(self, folder: Path, model: str) -> None:
        self._folder, self._model = folder, model
        self._writer: pa.RecordBatchStreamWriter | None = None
        self._sink: pa.OSFile | None = None

    def read(self, dimension: int) -> Iterator[tuple[list[bytes], list[bytes], NDArray[np.float32]]]:
        """Every batch ever logged; `UserError` where another model or dimension wrote it."""
        for path in sorted(self._folder.glob("log-*.arrows")):
            with pa.OSFile(str(path)) as source:
                try:
                    stream = pa.ipc.open_stream(source)
                except pa.ArrowInvalid:
                    continue  # killed before the schema was whole
                self._check(path, stream.schema, dimension)
                yield from _batches(stream)

    def _check(self, path: Path, schema: pa.Schema, dimension: int) -> None:
        model = (schema.metadata or {}).get(b"model", b"").decode()
        size = schema.field("vector").type.list_size
        if model != self._model or size != dimension:
            raise UserError(
                f"personas.dedup.model is {self._model} ({dimension} components) but {path} was written with {model} "
                f"({size}); keep the model, or start over with --fresh"
            )

    def append(self, ids: Sequence[bytes], forms: Sequence[bytes], vectors: NDArray[np.float16]) -> None:
        """Written to the operating system when this returns."""
        with halt_on_disk_error(self._folder):
            if self._writer is None:
                self._open(vectors.shape[1])
            assert self._writer is not None and self._sink is not None
            flat = pa.array(vectors.reshape(-1), type=pa.float16())
            arrays = [
                pa.array(ids, pa.binary(12)),
                pa.array(forms, pa.binary(16)),
                pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1]),
            ]
            self._writer.write_batch(pa.record_batch(arrays, schema=self._schema(vectors.shape[1])))
            self._sink.flush()

    def _open(self, dimension: int) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        number = 1 + max((int(path.stem[4:]) for path in self._folder.glob("log-*.arrows")), default=0)
        self._sink = pa.OSFile(str(self._folder / f"log-{number:05d}.arrows"), "wb")
        self._writer = pa.ipc.new_stream(self._sink, self._schema(dimension))

    def _schema(self, dimension: int) -> pa.Schema:
        fields = [("persona_id", pa.binary(12)), ("form", pa.binary(16)), ("vector", pa.list_(pa.float16(), dimension))]
        return pa.schema(fields, metadata={"model": self._model})


def _batches(stream: pa.RecordBatchStreamReader) -> Iterator[tuple[list[bytes], list[bytes], NDArray[np.float32]]]:
    while True:
        try:
            batch = stream.read_next_batch()
        except (StopIteration, pa.ArrowInvalid, OSError):
            return  # the end, or the torn tail of a killed writer
        vectors = batch.column("vector").flatten().to_numpy(zero_copy_only=False).reshape(len(batch), -1)
        yield batch.column("persona_id").to_pylist(), batch.column("form").to_pylist(), vectors.astype(np.float32)
