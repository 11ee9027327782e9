"""JSON documents of one form, a batch at a time: by the compiled library, or else by Python, with the same bytes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gapcast.compiled.functions import load_function
from gapcast.core.forecasts.json_rows import JsonForm, JsonRows


class JsonDocuments:
    """Writes documents of one ``form``."""

    def __init__(self, form: JsonForm, *, compiled: bool = True) -> None:
        """``compiled``: write with the library where there is one for this machine."""
        function = load_function("gapcast_json_rows") if compiled else None
        self._form = form
        self._rows = None if function is None else JsonRows(function, form)

    def values(self, n: int) -> NDArray[np.float64]:
        """Return the values of ``n`` documents ``[n, V]``, to be written to; those of the form that are no text."""
        return np.empty((n, self._form.n_values)) if self._rows is None else self._rows.values(n)

    def write(self, texts: list[str], values: NDArray[np.float64]) -> list[bytes]:
        """Return documents with the ``texts``, the first one of each, then the second, and the :meth:`values`."""
        n = len(values)
        written = None if self._rows is None else self._rows.write(texts, n)
        if written is None:
            return self._form.fill(texts, values)
        content = bytes(written.content)
        return [content[begin:end] for begin, end in written.bounds.tolist()]
