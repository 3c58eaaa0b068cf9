"""Tells Prometheus through the exporter that Ray runs on each node. Where there is none, nothing is told and nothing
fails."""

from __future__ import annotations

from collections.abc import Mapping

from ray.util.metrics import Counter, Gauge

from cluster.vocabulary import SERIES, Kind, Place


class Exporter:
    """The series of one run, each with its id as the label `run`. Build it in the process that tells."""

    def __init__(self, run_id: str) -> None:
        self._run_id, self._labels = run_id, {one.name: one.label for one in SERIES}
        self._counters, self._gauges = dict[str, Counter](), dict[str, Gauge]()
        for one in SERIES:
            keys = ("run", *filter(None, [one.label]))
            if one.kind is Kind.COUNTER:
                self._counters[one.name] = Counter(one.name, one.says, tag_keys=keys)
            else:
                self._gauges[one.name] = Gauge(one.name, one.says, tag_keys=keys)

    def count(self, more: Mapping[Place, float]) -> None:
        """Add to counters."""
        for (name, part), number in more.items():
            if number > 0:
                self._counters[name].inc(number, self._tags(name, part))

    def set(self, values: Mapping[Place, float]) -> None:
        """What gauges show from now on."""
        for (name, part), value in values.items():
            self._gauges[name].set(value, self._tags(name, part))

    def _tags(self, name: str, part: str) -> dict[str, str]:
        label = self._labels[name]
        return {"run": self._run_id} | ({label: part} if label else {})
