# Sourced by scripts/verify-docker: builds the images and checks their content.
# shellcheck shell=bash

declare -A platforms=([amd64]=linux/amd64 [arm64]=linux/arm64 [arm]=linux/arm/v7)
declare -A bases=([amd64]=python:amd64 [arm64]=python:arm64 [arm]=debian:armhf)

check_compose_files() { # each profile; without TLS, with TLS, and with an external broker
    local files profiles n=0
    local -x MQTT_HOST=broker.lan
    "$tools/check-jsonschema" --quiet --builtin-schema vendor.compose-spec "$root/docker-compose.yml" || return 1
    for files in "-f docker-compose.yml" "-f docker-compose.yml -f docker-compose.tls.yml" \
        "-f docker-compose.yml -f docker-compose.external.yml"; do
        for profiles in "" "--profile demo" "--profile monitoring" "--profile demo --profile monitoring"; do
            # shellcheck disable=SC2086
            (cd "$root" && env -u DOCKER_HOST docker compose $files $profiles config --format json) >"$work/config.json" || return 1
            "$tools/check-jsonschema" --quiet --builtin-schema vendor.compose-spec "$work/config.json" || return 1
            facts rules <"$work/config.json" || return 1
            n=$((n + 1))
        done
    done
    echo "$n combinations of files and profiles"
}

take_checkout() { # take_checkout FOLDER: the files that git tracks or would track
    mkdir "$1"
    git -C "$root" ls-files -z --cached --others --exclude-standard | tar -C "$root" -c --null --ignore-failed-read -T - |
        tar -x -C "$1"
    printf '[global]\ncert = /run/secrets/ca\n' >"$work/pip.conf"
}

build() { # build PLATFORM NAME FILE OPTION...: the build uses this machine's CA certificates, the image does not contain them
    local attempt contexts
    mapfile -t contexts < <(stand_in_contexts "$3" "$1")
    for attempt in 1 2 3; do
        docker build --progress plain --network host --platform "$1" -t "$2" -f "$3" "${contexts[@]}" "${@:4}" \
            --secret "id=pip,src=$work/pip.conf" --secret id=ca,src=/etc/ssl/certs/ca-certificates.crt . >"$work/build.log" 2>&1 &&
            return
        # Occasionally runc loses the process that it has just created (opencontainers/runc#1547): none of our commands has run.
        grep -q 'runc run failed: unable to start container process: .*connection reset by peer' "$work/build.log" || return 1
        note "the engine could not start a step of the build for $1 (attempt $attempt): connection reset by peer"
    done
    return 1
}

build_edge() { # build_edge ARCHITECTURE
    local started=$SECONDS
    build "${platforms[$1]}" "gapcast:$1" docker/Dockerfile --build-arg REVISION=verified || { tail -n 40 "$work/build.log"; fail "build for $1"; }
    note "built for ${platforms[$1]} in $((SECONDS - started)) s"
}

in_image() { # in_image ARCHITECTURE COMMAND...: as root, without the image's entry point
    docker run --rm --network none --user 0 --platform "${platforms[$1]}" --entrypoint "$2" "gapcast:$1" "${@:3}"
}

own_megabytes() { # own_megabytes IMAGE BASE: the size of the image's own layers
    local whole base
    whole="$(docker image inspect -f '{{.Size}}' "$1")"
    docker pull -q "$registry_address/library/$2" >/dev/null
    base="$(docker image inspect -f '{{.Size}}' "$registry_address/library/$2")"
    echo $(((whole - base + 500000) / 1000000))
}

tools_to_build() { # tools_to_build ARCHITECTURE IMAGE: prints compilers, linkers and installers of Python packages
    docker run --rm --network none --user 0 --platform "${platforms[$1]}" --entrypoint find "$2" / -xdev \
        \( -type f -o -type l -o -type d \) -regex \
        '.*/\(gcc\|g\+\+\|cc\|c\+\+\|clang\|ld\|ld\.bfd\|ld\.gold\|as\|make\|cargo\|rustc\|pip\|pip3\|uv\|ensurepip\|setuptools\)' \
        -not -path '/usr/share/*'
}

has_no_tool_to_build() { # has_no_tool_to_build ARCHITECTURE: and the search finds pip in the base image
    local found
    found="$(tools_to_build "$1" "gapcast:$1")" || return 1
    [[ -z "$found" ]] || { echo "$found"; return 1; }
    [[ "$1" == arm ]] || tools_to_build "$1" "$registry_address/library/${bases[$1]}" | grep -q pip || return 1
    in_image "$1" /opt/gapcast/bin/python -c 'import importlib.util as u, sys; sys.exit(any(u.find_spec(n) for n in ("pip", "setuptools", "ensurepip")))'
}

has_no_cache_or_secret() { # has_no_cache_or_secret ARCHITECTURE: nor settings of this machine, nor a key
    local found
    found="$(in_image "$1" sh -ec '
        for place in /root/.cache /home /tmp /var/cache/apt /var/lib/apt/lists /run; do
            [ ! -d $place ] || find $place -type f -size +0
        done
        find / -xdev \( -name "*.whl" -o -name pip.conf -o -name "*.key" -o -name __pycache__ -path "/opt/*" \)
        find /opt /etc -type f -exec grep -lE "BEGIN [A-Z ]*PRIVATE KEY" {} +' || true)"
    [[ -z "$found" ]] || { echo "$found"; return 1; }
    found="$(docker history --no-trunc "gapcast:$1" && docker image inspect "gapcast:$1")" || return 1
    refused grep -iE '(password|token|secret)=' <<<"$found"
}

runs_from_bytecode() { # runs_from_bytecode ARCHITECTURE: only the machine's own modules are compiled at the edge's start
    local said
    said="$(in_image "$1" /opt/gapcast/bin/python -P -v -c 'import gapcast.app.application, gapcast.cli, gapcast.entry, gapcast.health' 2>&1)" || return 1
    grep -c '^# code object from .*\.pyc' <<<"$said" >"$work/from-bytecode" || return 1
    refused grep -E '^# code object from .*\.py.?$' <(grep -v -e '\.pyc' -e _sysconfigdata_ -e numpy/__config__ <<<"$said") && echo "$(cat "$work/from-bytecode") modules"
}

has_compiled_steps() { # has_compiled_steps ARCHITECTURE: those of its machine alone, and they are in use
    in_image "$1" /opt/gapcast/bin/python -P -c '
from pathlib import Path
from gapcast.compiled import library as compiled
found, files = compiled.loaded(), sorted(path.name for path in Path(compiled.__file__).parent.glob("lib*.so*"))
assert found.library and len(files) == 1, (found, files)
print(files[0])'
}

version() { sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml; }

has_labels() { # has_labels ARCHITECTURE
    [[ "$(docker image inspect -f '{{index .Config.Labels "org.opencontainers.image.version"}}' "gapcast:$1")" == "$(version)" ]] &&
        [[ "$(docker image inspect -f '{{index .Config.Labels "org.opencontainers.image.revision"}}' "gapcast:$1")" == verified ]] &&
        [[ "$(docker image inspect -f '{{index .Config.Labels "org.opencontainers.image.licenses"}}' "gapcast:$1")" == Apache-2.0 ]]
}

check_image() { # check_image ARCHITECTURE
    figures[layers_$1]="$(own_megabytes "gapcast:$1" "${bases[$1]}")"
    prove "$1: own layers ${figures[layers_$1]} MB, under 150" test "${figures[layers_$1]}" -lt 150
    prove "$1: labels say what it is" has_labels "$1"
    prove "$1: no compiler, no linker, no pip" has_no_tool_to_build "$1"
    prove "$1: no cache, no secret, no setting of the machine that built it" has_no_cache_or_secret "$1"
    prove "$1: starts from bytecode alone" runs_from_bytecode "$1"
    prove "$1: the compiled steps are in use" has_compiled_steps "$1"
}

check_reproducible() { # rebuilt without cache: our layers are identical, except for the timestamp of the layer that removes pip
    build linux/amd64 gapcast:again docker/Dockerfile --no-cache --build-arg REVISION=verified || { tail -n 40 "$work/build.log"; fail "second build"; }
    prove "amd64: built twice, the same layers" diff <(own_layers gapcast:amd64) <(own_layers gapcast:again)
}

own_layers() { # own_layers IMAGE: the layers above the one that removes pip, one per line
    docker image inspect -f '{{range .RootFS.Layers}}{{println .}}{{end}}' "$1" | grep . | tail -n 2
}

check_trainer() {
    local started=$SECONDS
    build linux/amd64 gapcast-trainer:amd64 docker/trainer.Dockerfile || { tail -n 40 "$work/build.log"; fail "build of the trainer"; }
    note "built the trainer in $((SECONDS - started)) s"
    figures[trainer]="$(own_megabytes gapcast-trainer:amd64 python:amd64)"
    mkdir "$work/training"
    cp edge/gapcast/sample/uci-household-2010-week.csv.gz "$work/training/"
    chown -R 10001:10001 "$work/training"
    prove "trainer: reads the bundled week" train prepare uci-household-2010-week.csv.gz
    prove "trainer: fits a model to it" train train lstm-5-3 --set descent.epochs=1 --set data.first=2010-07-12 \
        --set data.train_until=2010-07-16 --set data.validate_until=2010-07-17 --set data.test_until=2010-07-19 --out runs/week
    prove "trainer: exports a checked TFLite model of it" train export runs/week --models models
    prove "the edge takes that model" docker run --rm --network none -v "$work/training/models:/models:ro" gapcast:amd64 \
        models --set models.path=/models
}

train() { # train COMMAND...: of gapcast-trainer, in a container with minimal privileges
    docker run --rm --network none --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges:true \
        -v "$work/training:/work" gapcast-trainer:amd64 "$@"
}

check_armv7_cheaply() { # the Dockerfile's result for 32-bit ARM, on Debian's Python and numpy, under an emulator
    local machine="$work/armv7" started=$SECONDS
    build linux/arm/v7 gapcast-builder:arm docker/Dockerfile --target builder || { tail -n 40 "$work/build.log"; fail "build for linux/arm/v7"; }
    mkdir -p "$machine/opt"
    tar -C "$machine" -x -f "$work/armv7.tar"
    docker create --platform linux/arm/v7 --name builder-arm gapcast-builder:arm >/dev/null
    docker cp -q builder-arm:/image/opt/gapcast "$machine/opt/"
    cp edge/gapcast/sample/uci-household-2010-week.csv.gz "$machine/week.csv.gz"
    prove "armv7: the compiled steps are in use" on_armv7 "$machine" /opt/gapcast/bin/python -c \
        'from gapcast.compiled.library import loaded; assert loaded().library, loaded(); print(loaded().machine)'
    prove "armv7: what is built for it runs on it" backtest_both "$machine"
    facts compare "$work/x86.csv" "$machine/out.csv" 1e-4 >"$work/armv7-figure" || fail "armv7: $(cat "$work/armv7-figure")"
    note "ok   armv7: forecasts as on x86-64: $(cat "$work/armv7-figure"); $((SECONDS - started)) s"
}

start_armv7() { # beside the services, which mostly wait
    (check_armv7_cheaply) >"$work/armv7.log" 2>&1 & armv7=$!
}
end_armv7() {
    wait "$armv7" || { cat "$work/armv7.log"; fail "armv7"; }
    cat "$work/armv7.log"
    figures[cortex-a7]="$(cat "$work/armv7-figure")"
}

backtest_both() { # backtest_both ROOT: the first five hours of the bundled week, here and on the emulated machine
    on_armv7 "$1" /opt/gapcast/bin/gapcast backtest /week.csv.gz --limit 300 --out /out.csv >/dev/null &&
        docker run --rm --network none -v "$work:/out" --user 0 -v "$PWD/edge/gapcast/sample:/sample:ro" gapcast:amd64 \
            backtest "/sample/uci-household-2010-week.csv.gz" --limit 300 --out /out/x86.csv >/dev/null &&
        on_armv7 "$1" /opt/gapcast/bin/python -c \
            'import numpy, platform, tflite_runtime as t; print(platform.machine(), "numpy", numpy.__version__, "tflite-runtime", t.__version__)'
}

on_armv7() { # on_armv7 ROOT COMMAND...: the packages' scripts have not run, so BLAS is where it was unpacked
    local libraries=/usr/lib/arm-linux-gnueabihf
    QEMU_CPU=cortex-a7 LD_LIBRARY_PATH="$libraries/blas:$libraries/lapack" PYTHONPYCACHEPREFIX=/opt/gapcast/bytecode chroot "$@"
}
