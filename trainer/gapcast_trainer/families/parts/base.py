"""Data types of model families."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pydantic import BaseModel, ConfigDict

from gapcast_trainer.data.windows import Learnable, WindowTask

if TYPE_CHECKING:
    import keras

    from gapcast_trainer.experiments.sections import Augment


class Hyper(BaseModel):
    """Base class of hyper-parameters; each family defines its own."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True, slots=True)
class Scale:
    """Scaling of power inside the graph: mean and standard deviation of the training part, kW."""

    mean_kw: float = 0.0
    scale_kw: float = 1.0


UNIT = Scale()


@dataclass(frozen=True, slots=True)
class Design:
    """The design of a graph: its task, its quantile levels, and the scale of its layers."""

    task: WindowTask
    quantile_levels: tuple[float, ...] | None = None
    scale: Scale = UNIT


class Solver(Protocol):
    """Computes weights in closed form."""

    def __call__(
        self, model: keras.Model, train: Learnable, design: Design, hyper: Hyper, augment: Augment, *, progress: bool
    ) -> None:
        """Set the weights of ``model`` that minimise the mean's squared error on ``train`` in closed form."""
        ...


@dataclass(frozen=True, slots=True)
class Family:
    """One family of models.

    ``build`` makes an unfitted model that takes physical units and scales inside its graph: input ``window`` ``[N,
    context, F]``, outputs ``mean`` ``[N, K]`` and, if the design has levels, ``quantiles`` ``[N, K, Q]``, kW. ``solve``
    sets weights in closed form; weights that are trainable after it are fitted by gradient descent. A family that
    ``takes_history`` has a second input, ``history`` ``[N, 672]``, and also the outputs ``mean_to`` and
    ``quantiles_to``; it is trained around a frozen model (:mod:`gapcast_trainer.training.outlook`).
    """

    name: str
    hyper: type[Hyper]
    build: Callable[[Design, Hyper], keras.Model]
    solve: Solver | None = None
    takes_history: bool = False
