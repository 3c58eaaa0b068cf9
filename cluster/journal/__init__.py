"""Every paid answer, kept before anyone parses it, and found again by the call that it answered; and beside them what
functions and retrievers said (`recall`).

Knows no model, prompt or price: a request is a mapping, an answer another. A journal lies in a local or shared folder
or in an object store (an `ObjectPath`). Used in this order: the driver calls `prepare`, once, under the run's lock;
then each caller opens one `JournalReader` over what earlier runs paid, and by `open_writer` one writer for what it
pays itself.

    journal.json           whose journal it is, and the version of its format
    <writer id>-<n>.jsonl  segments: written by one process, never appended to by another
    compacted-….jsonl      segments that took the place of others
    compaction.json        only while segments are being compacted: what to drop or to finish after a crash
    index/                 key → segment and offset; made from the segments, may be deleted at any time
    .lock                  held by who works on the index

In an object store a segment is put whole and never changed; `index/` and `.lock` are then in a local cache.

A segment has one JSON object a line, with its fields in this order and without spaces:

    v        1, the version of the format
    key      32 hex digits: `call_key` of the request and the item
    at       Unix seconds when the answer was journaled; told, and never relied on
    item     what was asked for, for people and tools
    answer   the answer as a *string* of JSON: whatever shapes answers take, the column stays one of strings
    crc      8 hex digits: CRC-32 of the line's bytes up to `,"crc":`

`pyarrow.json.read_json` reads a segment (records over 1 MiB want a larger `ReadOptions(block_size)`), except where a
power cut tore its last line; `read_records` leaves out that and any other line whose crc is wrong.
"""

from cluster.journal.compaction import compact
from cluster.journal.file_writer import JournalWriter
from cluster.journal.identity import belongs_to_another, prepare
from cluster.journal.index import Summary, index_segments
from cluster.journal.places import open_writer, read_records, segments
from cluster.journal.reader import JournalReader
from cluster.journal.recall import recall
from cluster.journal.record import Record, call_key
from cluster.journal.store import Writer

__all__ = [
    "JournalReader",
    "JournalWriter",
    "Record",
    "Summary",
    "Writer",
    "belongs_to_another",
    "call_key",
    "compact",
    "index_segments",
    "open_writer",
    "prepare",
    "read_records",
    "recall",
    "segments",
]
