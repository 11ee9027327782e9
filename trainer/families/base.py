"""What a family is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Protocol

from pydantic import ConfigDict, Field, PositiveFloat, PositiveInt

from trainer.windows import Examples, Task

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, slots=True, kw_only=True)
class Hyper:
    """Hyper-parameters that every family has; families add their own.

    ``mean_kw`` and ``scale_kw`` scale the window inside the graph and are measured on the training
    part. ``short_share`` of the examples are cut short, to 2 … context readings with equal chance, and
    padded, so that a device's first forecasts are good too.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    seed: int = 1
    short_share: Annotated[float, Field(ge=0, le=1)] = 0.5
    mean_kw: float = 0.0
    scale_kw: PositiveFloat = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Descent(Hyper):
    """Hyper-parameters of a family that is fitted by gradient descent."""

    batch_size: PositiveInt = 1024
    epochs: PositiveInt = 20
    patience: PositiveInt = 6
    learning_rate: PositiveFloat = 0.01
    last_learning_rate: PositiveFloat = 1e-4
    clip_norm: PositiveFloat = 1.0


class Solver(Protocol):
    """Fits a model in closed form."""

    def __call__(self, model: keras.Model, train: Examples, hyper: Hyper, *, progress: bool) -> None:
        """Set the weights of ``model`` to the best ones for ``train``."""
        ...


@dataclass(frozen=True, slots=True)
class Family:
    """One family of models.

    ``build`` makes an unfitted model: input ``window`` ``[N, context, 1]``, output ``mean`` ``[N, K]``, kW.
    ``models`` names the members that are trained, with their hyper-parameters. A family without
    ``solve`` is fitted by gradient descent and its hyper-parameters are a :class:`Descent`.
    """

    name: str
    hyper: type[Hyper]
    models: Mapping[str, Hyper]
    build: Callable[[Task, Hyper], keras.Model]
    solve: Solver | None = None
