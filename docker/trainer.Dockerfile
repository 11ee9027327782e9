# The trainer, for a machine with enough memory. linux/amd64, linux/arm64.
#   docker build -f docker/trainer.Dockerfile -t gapcast-trainer .
#   docker run --rm -v "$PWD/runs:/work" gapcast-trainer --help

# Runs on the build platform for any target platform, as in docker/Dockerfile.
FROM --platform=$BUILDPLATFORM python:3.13-slim-trixie@sha256:9d2e5553305c7c7b0097999bb17187c69b921ccd6bc9d40e4bb5ebe652c00285 AS builder-amd64
ENV MACHINE=x86_64
FROM --platform=$BUILDPLATFORM python:3.13-slim-trixie@sha256:9d2e5553305c7c7b0097999bb17187c69b921ccd6bc9d40e4bb5ebe652c00285 AS builder-arm64
ENV MACHINE=aarch64

# hadolint ignore=DL3006
FROM builder-${TARGETARCH} AS builder
WORKDIR /src
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
COPY requirements/build.txt requirements/trainer.txt requirements/
RUN sed -i requirements/trainer.txt \
      -e "s/platform_machine == '$MACHINE'/python_version >= '3'/g; s/platform_machine != '$MACHINE'/python_version < '3'/g" \
      -e "s/platform_machine == '[^']*'/python_version < '3'/g; s/platform_machine != '[^']*'/python_version >= '3'/g"
# hadolint ignore=SC2046
RUN --mount=type=secret,id=pip,target=/etc/pip.conf --mount=type=secret,id=ca \
    --mount=type=cache,target=/root/.cache/pip \
    glibc="$(python3 -c 'import platform; print(platform.libc_ver()[1].split(".")[1])')" \
 && python3 -m venv --without-pip /opt/gapcast \
 && python3 -m venv --without-pip /opt/build \
 && python3 -m pip install --no-compile --require-hashes --no-deps --only-binary :all: \
      --target "$(echo /opt/gapcast/lib/python3*/site-packages)" --platform "linux_$MACHINE" --platform "manylinux2014_$MACHINE" \
      $(seq --format "--platform manylinux_2_%g_$MACHINE" "$glibc" -1 17) -r requirements/trainer.txt \
 && python3 -m pip --python /opt/build/bin/python install --require-hashes --only-binary :all: -r requirements/build.txt
COPY . .
RUN --mount=type=cache,target=/root/.cache/zig \
    ZIG_GLOBAL_CACHE_DIR=/root/.cache/zig /opt/build/bin/python -m build --wheel --no-isolation --outdir /dist . \
 && python3 -m pip --python /opt/gapcast/bin/python install --no-compile --no-deps --no-index /dist/*.whl

FROM python:3.13-slim-trixie@sha256:9d2e5553305c7c7b0097999bb17187c69b921ccd6bc9d40e4bb5ebe652c00285
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="gapcast-trainer" \
      org.opencontainers.image.description="Trains, evaluates and exports gapcast's models." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.base.name="python:3.13-slim-trixie"
COPY --from=builder /opt/gapcast /opt/gapcast
# Keras and matplotlib need writable folders for settings and caches.
ENV PATH=/opt/gapcast/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    HOME=/tmp KERAS_HOME=/tmp/keras MPLCONFIGDIR=/tmp/matplotlib
WORKDIR /work
USER 10001:10001
ENTRYPOINT ["/opt/gapcast/bin/gapcast-trainer"]
CMD ["--help"]
