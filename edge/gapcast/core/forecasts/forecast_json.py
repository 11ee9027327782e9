"""Encodes batches of forecasts as JSON, equal to :meth:`gapcast.core.forecasts.forecast.Forecast.document`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gapcast.compiled.functions import load_function
from gapcast.core.arrays.array_types import F64
from gapcast.core.forecasts.forecast import Forecasts, HorizonParts
from gapcast.core.forecasts.forecast_template import ForecastTemplate, template_key, template_of
from gapcast.core.forecasts.json_rows import JsonDocuments, Packets, WrittenRows
from gapcast.core.models.predictor import ModelIdentity

#: Number of templates that an encoder caches.
_N_TEMPLATES = 16


class ForecastEncoder:
    """Encodes batches of forecasts. Device ids need no escapes, and ``repr`` of a finite float is JSON.

    Therefore one template serves all forecasts of one model. The compiled library fills it, or else Python does in a
    fifth of the time of a JSON encoder.
    """

    def __init__(self, packets: Packets | None = None) -> None:
        """``packets`` describes the packets that :meth:`write_packets` writes."""
        self._packets = packets
        self._function = load_function("gapcast_json_rows")
        #: The key of the last template, and the template with its writer.
        self._key: tuple[object, ...] = ()
        self._last: tuple[ForecastTemplate, JsonDocuments] | None = None
        #: The model of the last forecasts if they had :attr:`.Forecasts.numbers`: then the model has one template.
        self._model: ModelIdentity | None = None
        #: Recent templates and their writers, by key: the templates of several horizons alternate.
        self._recent: dict[tuple[object, ...], tuple[ForecastTemplate, JsonDocuments]] = {}

    def encode(self, forecasts: Forecasts) -> Iterator[bytes]:
        """Yield the JSON of each forecast, in order."""
        if not len(forecasts):
            return
        if forecasts.parts is not None:
            yield from self._encode_horizons(forecasts.parts)
            return
        template, documents = self._template_of(forecasts)
        values = documents.values(len(forecasts))
        written = documents.write(_fill(values, template, forecasts), values)
        if template.is_dense(forecasts):
            yield from written
            return
        for document, end in zip(written, _ends(template, forecasts), strict=True):
            yield document[:-1] + end.encode()

    def _encode_horizons(self, parts: HorizonParts) -> Iterator[bytes]:
        """Yield the JSON of each forecast of a batch with several horizons; each horizon has its own template."""
        encoded = [self.encode(forecasts) for _, forecasts in parts.parts]
        for part, _ in parts.order:
            yield next(encoded[part])

    def write_packets(
        self, forecasts: Forecasts, expiry_s: Sequence[int], packet_ids: Sequence[int] = ()
    ) -> WrittenRows | None:
        """Return the packets that publish ``forecasts``, at least one: see :meth:`.JsonRows.write`.

        ``forecasts`` have one horizon. None without the compiled library, or if it cannot write one of the forecasts.
        """
        template, documents = self._template_of(forecasts)
        rows = documents.packets
        if rows is None or (forecasts.numbers is None and not template.is_dense(forecasts)):
            return None
        n = len(forecasts)
        return rows.write(_fill(rows.values(n), template, forecasts), n, expiry_s, packet_ids)

    def _template_of(self, forecasts: Forecasts) -> tuple[ForecastTemplate, JsonDocuments]:
        model = forecasts.model if forecasts.numbers is not None else None
        if self._last is not None and model is not None and model is self._model:
            return self._last
        self._model = model
        key = template_key(forecasts)
        if self._last is None or key != self._key:
            if key not in self._recent:
                if len(self._recent) == _N_TEMPLATES:
                    del self._recent[next(iter(self._recent))]
                template = template_of(forecasts)
                self._recent[key] = template, JsonDocuments(template.json, self._function, self._packets)
            self._key, self._last = key, self._recent[key]
        return self._last


def _fill(values: F64, template: ForecastTemplate, forecasts: Forecasts) -> list[str]:
    """Write the numbers of ``forecasts`` to the ``values`` ``[N, V]`` of their documents; return the texts."""
    at = None if forecasts.numbers is None else template.n_observed_at
    if forecasts.numbers is not None and at is not None:
        if len(values) == 1:  # one assignment is faster than three
            numbers: list[float] = forecasts.numbers[0].tolist()
            numbers.insert(at, forecasts.n_observed[0])
            values[0] = numbers
        else:
            values[:, :at] = forecasts.numbers[:, :at]
            values[:, at] = forecasts.n_observed
            values[:, at + 1 :] = forecasts.numbers[:, at:]
    else:
        at = 0
        for column in template.numbers:
            values[:, at] = column(forecasts)
            at += 1
        for column in template.compounds:
            block = column(forecasts)
            values[:, at : at + block.shape[1]] = block
            at += block.shape[1]
    texts: list[str] = []
    for column in template.texts:
        texts += column(forecasts)
    return texts


def _ends(template: ForecastTemplate, forecasts: Forecasts) -> Iterator[str]:
    """Yield the end of each forecast: the sparse fields that it has, and the closing brace."""
    columns = [(name, column(forecasts)) for name, column in template.sparse]
    for i in range(len(forecasts)):
        values = ((name, None if values is None else values[i]) for name, values in columns)
        yield "".join(f',"{name}":{value!r}' for name, value in values if value is not None) + "}"
