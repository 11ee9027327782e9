"""The example for Spark on Kubernetes: its arguments, configuration and Spark keys are valid.

``scripts/check`` verifies that its fields are the operator's, and its pods Kubernetes'.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pyspark
import pytest
import yaml
from pyspark.sql import SparkSession

from gapcast.config.loader import load
from gapcast_fleet.commands.score import score

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def resources() -> dict[str, Any]:
    text = (ROOT / "deploy" / "kubernetes" / "spark.yaml").read_text(encoding="utf-8")
    return {one["kind"]: one for one in yaml.safe_load_all(text)}


def test_spark_example_command_is_valid(resources: dict[str, Any], tmp_path: Path) -> None:
    spec = resources["SparkApplication"]["spec"]
    command, *arguments = spec["driverArgs"]
    assert command == score.name
    file = tmp_path / "gapcast.toml"
    file.write_text(resources["ConfigMap"]["data"]["gapcast.toml"], encoding="utf-8")
    given = [one.replace("/etc/gapcast", str(tmp_path)) for one in arguments]
    options = score.make_context(command, given).params
    assert options["config"] == file
    for role in ("driverSpec", "executorSpec"):
        (container,) = spec[role]["podTemplateSpec"]["spec"]["containers"]
        assert str(options["checkpoint"].parent) in {mount["mountPath"] for mount in container["volumeMounts"]}
        password = tmp_path / "password"
        password.write_text("s3cret", encoding="utf-8")
        variables = {one["name"]: str(password) for one in container["env"]}
        assert load(file, variables, {}).mqtt.password is not None


def test_spark_example_keys_are_known(resources: dict[str, Any], spark: SparkSession) -> None:
    java = spark._jvm
    assert java is not None
    loader = java.java.lang.Thread.currentThread().getContextClassLoader()
    for of in ("internal.config.package$", "deploy.k8s.Config$"):
        java.java.lang.Class.forName(f"org.apache.spark.{of}", True, loader)
    find = java.org.apache.spark.internal.config.ConfigEntry.findEntry
    unknown = [key for key in resources["SparkApplication"]["spec"]["sparkConf"] if find(key) is None]
    assert unknown == []
    assert find("spark.sql.shuffle.partition") is None


def test_spark_example_matches_the_images_version(resources: dict[str, Any]) -> None:
    spec = resources["SparkApplication"]["spec"]
    assert spec["runtimeVersions"]["sparkVersion"] == pyspark.__version__
    dockerfile = (ROOT / "docker" / "spark.Dockerfile").read_text(encoding="utf-8")
    assert "requirements/fleet.txt" in dockerfile
    assert re.search(rf">{spec['pyFiles'].removeprefix('local://')} ", dockerfile), "what is started is in the image"
