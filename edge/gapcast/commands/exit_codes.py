"""The exit codes of ``gapcast`` for errors that it names in a message."""

from __future__ import annotations

from gapcast.core.errors import AddressError, GapcastError, ModelChoiceError, ModelError, ShardError, StateInUseError

EXIT_ERROR, EXIT_BAD_INPUT, EXIT_BAD_MODEL, EXIT_STATE_LOCKED = 1, 2, 3, 4
#: By class of the error, or of the nearest base class.
_EXIT_CODES: dict[type[BaseException], int] = {
    GapcastError: EXIT_BAD_INPUT,
    AddressError: EXIT_ERROR,  # systemd restarts after this code, unlike after 2 and 3
    ModelError: EXIT_BAD_MODEL,
    ModelChoiceError: EXIT_BAD_INPUT,
    ShardError: EXIT_STATE_LOCKED,
    StateInUseError: EXIT_STATE_LOCKED,
}


def exit_code_of(error: GapcastError) -> int:
    """Return the exit code for ``error``.

    >>> exit_code_of(GapcastError()), exit_code_of(ModelError()), exit_code_of(ModelChoiceError())
    (2, 3, 2)
    """
    return next(_EXIT_CODES[kind] for kind in type(error).__mro__ if kind in _EXIT_CODES)
