"""Validates Kubernetes manifests against their schemas; unknown properties are errors.

Kubernetes' own resources use the schemas of kubernetes-validate, which do not include the SparkApplication of
the Apache Spark Kubernetes Operator: its fields are defined below, and its pods use the schema of Kubernetes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import yaml
from kubernetes_validate import latest_version, utils, validate
from referencing import Registry, Resource

_STRING, _INTEGER, _LIST = {"type": "string"}, {"type": "integer"}, {"type": "array"}
_STRINGS = {"type": "object", "additionalProperties": _STRING}
_WHEN = ("Always", "Never", "OnFailure")


def _of(required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


def _integers(*names: str) -> dict[str, Any]:
    return _of(**dict.fromkeys(names, _INTEGER))


def _spark_application(definitions: str) -> dict[str, Any]:
    """Return the schema of ``spark.apache.org/v1`` as of operator 1.0.0; ``definitions`` is Kubernetes' schema URI."""
    pod = _of(podTemplateSpec={"$ref": f"{definitions}#/$defs/io.k8s.api.core.v1.PodTemplateSpec"})
    ends = ("", "ForFailure", "ForSchedulingFailure")
    tolerations = _of(
        applicationTimeoutConfig=_integers(
            "driverReadyTimeoutMillis", "driverStartTimeoutMillis", "executorStartTimeoutMillis",
            "forceTerminationGracePeriodMillis", "terminationRequeuePeriodMillis",
        ),
        instanceConfig=_integers("initExecutors", "maxExecutors", "minExecutors"),
        resourceRetainDurationMillis=_INTEGER,
        resourceRetainPolicy={"enum": _WHEN},
        restartConfig=_of(
            maxRestartAttempts=_INTEGER,
            maxRestartOnFailure=_INTEGER,
            maxRestartOnSchedulingFailure=_INTEGER,
            restartCounterResetMillis=_INTEGER,
            restartPolicy={"enum": (*_WHEN, "OnInfrastructureFailure")},
            **{f"restartBackoffMillis{end}": _INTEGER for end in ends},
        ),
        ttlAfterStopMillis=_INTEGER,
    )  # fmt: skip
    versions = _of(("sparkVersion",), jdkVersion=_STRING, scalaVersion=_STRING, sparkVersion=_STRING)
    spec = _of(
        ("runtimeVersions",),
        applicationTolerations=tolerations,
        deploymentMode={"enum": ("ClientMode", "ClusterMode")},
        driverArgs=_LIST | {"items": _STRING},
        driverSpec=pod,
        executorSpec=pod,
        files=_STRING,
        jars=_STRING,
        mainClass=_STRING,
        proxyUser=_STRING,
        pyFiles=_STRING,
        runtimeVersions=versions,
        sparkConf=_STRINGS,
        sparkRFiles=_STRING,
        **dict.fromkeys(
            ("configMapSpecs", "driverGrpcRouteList", "driverHttpRouteList", "driverServiceIngressList"), _LIST
        ),
    )
    metadata = {"$ref": f"{definitions}#/$defs/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}
    kinds = {"apiVersion": {"const": "spark.apache.org/v1"}, "kind": {"const": "SparkApplication"}}
    return _of(("metadata", "spec"), **kinds, metadata=metadata, spec=spec)


def problems(document: dict[str, Any]) -> Iterator[str]:
    """Yield the problems of one resource, each with its location."""
    version = latest_version()
    if str(document.get("apiVersion", "")).startswith("spark.apache.org/"):
        definitions = utils.schema_contents(
            f"kubernetes-json-schema/v{version}-local-strict/_definitions.json", version
        )
        known = Resource.from_contents(definitions) @ Registry()
        validator = jsonschema.Draft202012Validator(_spark_application(definitions["$id"]), registry=known)
        for error in validator.iter_errors(document):
            yield f"{error.json_path}: {error.message}"
        return
    try:
        validate(document, version, strict=True)
    except jsonschema.ValidationError as error:
        yield f"{error.json_path}: {error.message}"
    except utils.SchemaNotFoundError as error:
        yield error.message


def main(paths: list[str]) -> int:
    """Print all problems; return 1 if there are any."""
    found = [
        f"{path}, {document.get('kind')} {document.get('metadata', {}).get('name')}: {problem}"
        for path in paths
        for document in yaml.safe_load_all(Path(path).read_text(encoding="utf-8"))
        for problem in problems(document)
    ]
    for line in found:
        print(line)
    return bool(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
