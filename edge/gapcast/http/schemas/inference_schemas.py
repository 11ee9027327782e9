"""Response bodies of the Open Inference Protocol."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class _Document(BaseModel):
    model_config = ConfigDict(protected_namespaces=())


class ServerMetadata(_Document):
    """The inference server."""

    name: str
    version: str
    extensions: list[str]


class Live(_Document):
    """Whether the process is alive."""

    live: bool


class Ready(_Document):
    """Whether models are ready for inference."""

    ready: bool


class ModelReady(_Document):
    """Whether a model is ready for inference."""

    name: str
    ready: bool


class TensorMetadata(_Document):
    """One input or output."""

    name: str
    datatype: str
    shape: list[int] = Field(description="-1: any size")


class ModelMetadata(_Document):
    """Metadata of a model, from its card."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class OutputParameters(_Document):
    """Parameters of an output."""

    binary_data_size: int


class OutputTensor(_Document):
    """One output: flat ``data``, or a number of bytes after the JSON."""

    name: str
    datatype: str
    shape: list[int]
    data: list[float] | None = None
    parameters: OutputParameters | None = None


class InferResponse(_Document):
    """The outputs of a model for the windows of a request."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[OutputTensor]
