"""Encodes batches of forecasts as JSON, equal to :meth:`gapcast.core.forecasts.forecast.Forecast.document`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from gapcast.compiled.functions import load_function
from gapcast.core.forecasts.forecast import Forecasts, HorizonParts
from gapcast.core.forecasts.forecast_template import ForecastTemplate, template_key, template_of
from gapcast.core.forecasts.json_rows import JsonRows, Packets, WrittenRows
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
        #: The key of the last template, the template, and the writers of documents (False) and of packets (True).
        self._key: tuple[object, ...] = ()
        self._template: ForecastTemplate | None = None
        self._rows: dict[bool, JsonRows] = {}
        #: The model of the last forecasts if they had :attr:`.Forecasts.numbers`: then the model has one template.
        self._model: ModelIdentity | None = None
        #: Recent templates and their writers, by key: the templates of several horizons alternate.
        self._recent: dict[tuple[object, ...], tuple[ForecastTemplate, dict[bool, JsonRows]]] = {}

    def encode(self, forecasts: Forecasts) -> Iterator[bytes]:
        """Yield the JSON of each forecast, in order."""
        if not len(forecasts):
            return
        if forecasts.parts is not None:
            yield from self._encode_horizons(forecasts.parts)
            return
        template = self._template_of(forecasts)
        written = self._written(template, forecasts, (), (), are_packets=False)
        if written is not None:
            content = bytes(written.content)
            yield from (content[begin:end] for begin, end in written.bounds.tolist())
            return
        columns = [column(forecasts) for column in template.scalars]
        for compound in template.compounds:
            columns += np.transpose(compound(forecasts)).tolist()
        if template.is_dense(forecasts):
            for row in zip(*columns, strict=True):
                yield (template.format_string % row).encode()
            return
        for row, end in zip(zip(*columns, strict=True), _ends(template, forecasts), strict=True):
            yield ((template.format_string % row)[:-1] + end).encode()

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
        return self._written(self._template_of(forecasts), forecasts, expiry_s, packet_ids, are_packets=True)

    def _template_of(self, forecasts: Forecasts) -> ForecastTemplate:
        model = forecasts.model if forecasts.numbers is not None else None
        if self._template is not None and model is not None and model is self._model:
            return self._template
        self._model = model
        key = template_key(forecasts)
        if self._template is None or key != self._key:
            if key not in self._recent:
                if len(self._recent) == _N_TEMPLATES:
                    del self._recent[next(iter(self._recent))]
                self._recent[key] = template_of(forecasts), {}
            self._key, (self._template, self._rows) = key, self._recent[key]
        return self._template

    def _written(
        self,
        template: ForecastTemplate,
        forecasts: Forecasts,
        expiry_s: Sequence[int],
        packet_ids: Sequence[int],
        *,
        are_packets: bool,
    ) -> WrittenRows | None:
        """Return ``forecasts`` written by the compiled library; None without it, or if it cannot write them."""
        at = None if forecasts.numbers is None else template.n_observed_at
        if self._function is None or (at is None and not template.is_dense(forecasts)):
            return None
        rows = self._rows.get(are_packets)
        if rows is None:
            packets = self._packets if are_packets else None
            rows = self._rows[are_packets] = JsonRows(self._function, template.json, packets)
        n = len(forecasts)
        texts: list[str] = []
        for column in template.texts:
            texts += column(forecasts)
        values = rows.values(n)
        if forecasts.numbers is not None and at is not None:
            if n == 1:  # one assignment is faster than three
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
        return rows.write(texts, n, expiry_s, packet_ids)


def _ends(template: ForecastTemplate, forecasts: Forecasts) -> Iterator[str]:
    """Yield the end of each forecast: the sparse fields that it has, and the closing brace."""
    columns = [(name, column(forecasts)) for name, column in template.sparse]
    for i in range(len(forecasts)):
        values = ((name, None if values is None else values[i]) for name, values in columns)
        yield "".join(f',"{name}":{value!r}' for name, value in values if value is not None) + "}"
