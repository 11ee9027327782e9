# The second tier on Kubernetes: image of the driver and the executors in deploy/kubernetes/spark.yaml.
#   docker build -f docker/spark.Dockerfile -t gapcast-fleet .
# The Python of Spark's own images is too old for gapcast, so that only the entry points are copied from there;
# Spark itself is PySpark's, of the version in requirements/fleet.txt.
# The digests are checked by tests/security/test_pinned_supply_chain.py, and updated by scripts/pin-images or Dependabot.
FROM spark:4.2.0-scala@sha256:aeaae7ab8dc28e6e7f0f16d55f885415f2443b5c63d25d6d448c6aa1866a6c0b AS spark

FROM python:3.13-slim-trixie@sha256:9d2e5553305c7c7b0097999bb17187c69b921ccd6bc9d40e4bb5ebe652c00285 AS builder
WORKDIR /src
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
COPY requirements/build.txt requirements/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf --mount=type=secret,id=ca \
    --mount=type=cache,target=/root/.cache/pip \
    pip install --no-compile --require-hashes --only-binary :all: -r requirements/build.txt
COPY . .
RUN --mount=type=cache,target=/root/.cache/zig \
    ZIG_GLOBAL_CACHE_DIR=/root/.cache/zig python -m build --wheel --no-isolation --outdir /dist .

FROM python:3.13-slim-trixie@sha256:9d2e5553305c7c7b0097999bb17187c69b921ccd6bc9d40e4bb5ebe652c00285
# With the security fixes as of the build date.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends openjdk-21-jre-headless procps tini \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --user-group gapcast
COPY --from=spark /opt/entrypoint.sh /opt/decom.sh /opt/

WORKDIR /src
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
COPY requirements/fleet.txt requirements/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf --mount=type=secret,id=ca \
    --mount=type=cache,target=/root/.cache/pip \
    pip install --no-compile --require-hashes --prefer-binary -r requirements/fleet.txt
RUN --mount=type=bind,from=builder,source=/dist,target=/dist \
    pip install --no-cache-dir --no-compile --no-deps --no-index /dist/*.whl \
 && install -d /opt/gapcast \
 && printf 'from gapcast_fleet.cli import main\n\nmain()\n' >/opt/gapcast/fleet.py \
 && ln -s "$(python -c 'import os, pyspark; print(os.path.dirname(pyspark.__file__))')" /opt/spark

ENV SPARK_HOME=/opt/spark PYSPARK_PYTHON=/usr/local/bin/python3 PYSPARK_DRIVER_PYTHON=/usr/local/bin/python3 \
    PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /tmp
USER 10001:10001
ENTRYPOINT ["/opt/entrypoint.sh"]
