"""Encodes batches of forecasts as JSON, equal to :meth:`gapcast.core.forecasts.forecast.Forecast.document`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from gapcast.compiled.functions import load_function
from gapcast.core.forecasts.forecast import Forecasts, HorizonParts
from gapcast.core.forecasts.forecast_layout import ForecastLayout, form_of, layout_of
from gapcast.core.forecasts.json_rows import JsonRows, Packets, WrittenRows
from gapcast.core.models.predictor import ModelIdentity

#: Number of forms whose layouts an encoder caches.
_N_FORMS = 16


class ForecastEncoder:
    """Encodes batches of forecasts. Device ids need no escapes, and ``repr`` of a finite float is JSON.

    Therefore one form serves all forecasts of one model. The compiled library fills it, or else Python does in a fifth
    of the time of a JSON encoder.
    """

    def __init__(self, packets: Packets | None = None, *, compiled: bool = True) -> None:
        """``packets`` describes the packets that :meth:`write_packets` writes.

        ``compiled``: write in C where that is possible; the bytes are the same.
        """
        self._packets = packets
        self._function = load_function("gapcast_json_rows") if compiled else None
        #: The last form, its layout, and the writers of documents (False) and of packets (True).
        self._form: tuple[object, ...] = ()
        self._layout: ForecastLayout | None = None
        self._rows: dict[bool, JsonRows] = {}
        #: The model of the last forecasts if they had :attr:`.Forecasts.numbers`: then the model has one form.
        self._model: ModelIdentity | None = None
        #: Layout and writers of recent forms: the forms of several horizons alternate.
        self._of_forms: dict[tuple[object, ...], tuple[ForecastLayout, dict[bool, JsonRows]]] = {}

    def encode(self, forecasts: Forecasts) -> Iterator[bytes]:
        """Yield the JSON of each forecast, in order."""
        if not len(forecasts):
            return
        if forecasts.parts is not None:
            yield from self._encode_horizons(forecasts.parts)
            return
        layout = self._layout_of(forecasts)
        written = self._written(layout, forecasts, (), (), are_packets=False)
        if written is not None:
            content = bytes(written.content)
            yield from (content[begin:end] for begin, end in written.bounds.tolist())
            return
        columns = [column(forecasts) for column in layout.scalars]
        for compound in layout.compounds:
            columns += np.transpose(compound(forecasts)).tolist()
        if layout.is_dense(forecasts):
            for row in zip(*columns, strict=True):
                yield (layout.template % row).encode()
            return
        for row, end in zip(zip(*columns, strict=True), _ends(layout, forecasts), strict=True):
            yield ((layout.template % row)[:-1] + end).encode()

    def _encode_horizons(self, parts: HorizonParts) -> Iterator[bytes]:
        """Yield the JSON of each forecast of a batch with several horizons; each horizon has its own form."""
        encoded = [self.encode(forecasts) for _, forecasts in parts.parts]
        for part, _ in parts.order:
            yield next(encoded[part])

    def write_packets(
        self, forecasts: Forecasts, expiry_s: Sequence[int], packet_ids: Sequence[int] = ()
    ) -> WrittenRows | None:
        """Return the packets that publish ``forecasts``, at least one: see :meth:`.JsonRows.write`.

        ``forecasts`` have one horizon. None without the compiled library, or if it cannot write one of the forecasts.
        """
        return self._written(self._layout_of(forecasts), forecasts, expiry_s, packet_ids, are_packets=True)

    def _layout_of(self, forecasts: Forecasts) -> ForecastLayout:
        model = forecasts.model if forecasts.numbers is not None else None
        if self._layout is not None and model is not None and model is self._model:
            return self._layout
        self._model = model
        form = form_of(forecasts)
        if self._layout is None or form != self._form:
            if form not in self._of_forms:
                if len(self._of_forms) == _N_FORMS:
                    del self._of_forms[next(iter(self._of_forms))]
                self._of_forms[form] = layout_of(forecasts), {}
            self._form, (self._layout, self._rows) = form, self._of_forms[form]
        return self._layout

    def _written(
        self,
        layout: ForecastLayout,
        forecasts: Forecasts,
        expiry_s: Sequence[int],
        packet_ids: Sequence[int],
        *,
        are_packets: bool,
    ) -> WrittenRows | None:
        """Return ``forecasts`` written by the compiled library; None without it, or if it cannot write them."""
        at = None if forecasts.numbers is None else layout.n_observed_at
        if self._function is None or (at is None and not layout.is_dense(forecasts)):
            return None
        rows = self._rows.get(are_packets)
        if rows is None:
            packets = self._packets if are_packets else None
            rows = self._rows[are_packets] = JsonRows(self._function, layout.form, packets)
        n = len(forecasts)
        texts: list[str] = []
        for column in layout.texts:
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
            for column in layout.numbers:
                values[:, at] = column(forecasts)
                at += 1
            for column in layout.compounds:
                block = column(forecasts)
                values[:, at : at + block.shape[1]] = block
                at += block.shape[1]
        return rows.write(texts, n, expiry_s, packet_ids)


def _ends(layout: ForecastLayout, forecasts: Forecasts) -> Iterator[str]:
    """Yield the end of each forecast: the sparse fields that it has, and the closing brace."""
    columns = [(name, column(forecasts)) for name, column in layout.sparse]
    for i in range(len(forecasts)):
        values = ((name, None if values is None else values[i]) for name, values in columns)
        yield "".join(f',"{name}":{value!r}' for name, value in values if value is not None) + "}"
