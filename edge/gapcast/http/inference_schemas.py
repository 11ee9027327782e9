"""What goes out by the Open Inference Protocol."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class _Document(BaseModel):
    model_config = ConfigDict(protected_namespaces=())


class ServerMetadata(_Document):
    """What serves the models."""

    name: str
    version: str
    extensions: list[str]


class Live(_Document):
    """The process works."""

    live: bool


class Ready(_Document):
    """Models can be asked."""

    ready: bool


class ModelReady(_Document):
    """A model can be asked."""

    name: str
    ready: bool


class TensorMetadata(_Document):
    """One input or output."""

    name: str
    datatype: str
    shape: list[int] = Field(description="-1: any number")


class ModelMetadata(_Document):
    """A model, as its card says."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class OutputParameters(_Document):
    """What is said beside an output."""

    binary_data_size: int


class OutputTensor(_Document):
    """One output: ``data``, flat, or so many bytes behind the JSON."""

    name: str
    datatype: str
    shape: list[int]
    data: list[float] | None = None
    parameters: OutputParameters | None = None


class InferResponse(_Document):
    """An answer."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[OutputTensor]
