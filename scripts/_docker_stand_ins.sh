# Sourced by scripts/verify-docker: a local registry with images made of Debian's packages, under the names and tags in the
# project's files. Limitations: docs/docker.md.
# shellcheck shell=bash disable=SC2016

registry_pid=""
registry_address=""

start_registry() { # start_registry FOLDER: before the engine, which is configured with it
    registry_address="127.0.0.1:$(free_ports 1)"
    mkdir "$1/registry"
    cat >"$1/registry.yml" <<YAML
version: 0.1
log: {level: warn}
storage: {filesystem: {rootdirectory: $1/registry}}
http: {addr: "$registry_address"}
YAML
    setsid docker-registry serve "$1/registry.yml" >"$1/registry.log" 2>&1 &
    registry_pid=$!
    wait_until 20 listens "${registry_address#*:}" || { cat "$1/registry.log"; return 1; }
}

stop_registry() {
    [[ -n "$registry_pid" ]] || return 0
    kill "$registry_pid" 2>/dev/null
    wait "$registry_pid" 2>/dev/null
    registry_pid=""
}

# The project's files pin images by digest, which a stand-in cannot have. Builds therefore get each of them as a named context
# of BuildKit, which replaces the reference, and compose gets an override file.

stand_in_of() { # stand_in_of NAME:TAG[@DIGEST]: its stand-in in the registry
    local name="${1%%@*}"
    [[ "$name" == */* ]] || name="library/$name"
    echo "$registry_address/$name"
}

# BuildKit resolves every named context for the target platform, also for stages that are not built. A build therefore
# gets only the one of its own base: Debian for 32-bit ARM, Python for the others.
stand_in_contexts() { # stand_in_contexts DOCKERFILE PLATFORM: prints build options, one per line
    local image base=python
    [[ "$2" != linux/arm/v7 ]] || base=debian
    while IFS= read -r image; do
        printf '%s\n' --build-context "$image=docker-image://$(stand_in_of "$image")"
    done < <(sed -nE "s/^FROM +(--platform=[^ ]+ +)?($base:[^ ]+@sha256:[0-9a-f]{64}).*/\\2/p" "$1" | sort -u)
}

write_stand_in_override() { # write_stand_in_override FILE: a compose file that names the stand-ins
    local service image
    echo "services:" >"$1"
    for service in setup mosquitto prometheus; do
        image="$(docker compose -f "$root/docker-compose.yml" --profile monitoring config --format json | facts image "$service")"
        printf '  %s: {image: "%s"}\n' "$service" "$(stand_in_of "$image")" >>"$1"
    done
}

# Most are made of packages that are unpacked but not configured: no package script runs, so that no emulator is needed.
base_packages=base-files,base-passwd,bash,coreutils,dash,diffutils,findutils,grep,gzip,hostname,libc-bin,libgcc-s1,libstdc++6
base_packages+=,login,sed,tar,util-linux,ca-certificates,openssl
accounts='for file in passwd group; do cp $1/usr/share/base-passwd/$file.master $1/etc/$file; chmod 644 $1/etc/$file; done'
# dpkg's path-exclude would start a Python for each package, which filters its files.
no_manuals='cd $1/usr/share && rm -rf doc locale man'
authorities='cat $1/usr/share/ca-certificates/mozilla/*.crt >$1/etc/ssl/certs/ca-certificates.crt'

debian() { # debian RELEASE ARCHITECTURE FILE OPTION...: a root file system, as a tar file
    local mirror
    mirror="$(apt-get indextargets --format '$(SITE)' | grep -m1 '/debian$')"
    mmdebstrap --quiet --mode=root --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr --architectures="$2" \
        --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Check-Date "false"' \
        --dpkgopt=force-unsafe-io --extract-hook="$no_manuals" --customize-hook="$no_manuals" "${@:4}" "$1" "$3" \
        "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $1 main" >"$3.log" 2>&1 ||
        { cat "$3.log"; return 1; }
}

unpacked() { # unpacked RELEASE ARCHITECTURE FILE PACKAGES OPTION...: the same, with unconfigured packages
    debian "$1" "$2" "$3" --variant=extract --include="$base_packages,$4" --extract-hook="$accounts" \
        --extract-hook="$authorities" "${@:5}"
}

publish() { # publish PLATFORM FILE NAME CHANGE...: the tar file becomes an image that can be pulled as NAME
    local change changes=(-c 'ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin')
    for change in "${@:4}"; do changes+=(-c "$change"); done
    docker import --platform "$1" "${changes[@]}" "$2" "$registry_address/$3" >/dev/null
    docker push -q "$registry_address/$3" >/dev/null
    docker image rm "$registry_address/$3" >/dev/null
    rm -f "$2"
}

# Docker's Python image has Python, and pip below /usr/local.
pip_below_local='local=$1/usr/local; mkdir -p $local/bin $local/lib/python3.13/dist-packages
ln -s dist-packages $local/lib/python3.13/site-packages
python3 -m zipfile -e /usr/share/python-wheels/pip-*.whl $local/lib/python3.13/dist-packages
ln -s ../../bin/python3 $local/bin/python3
rm -f $1/usr/lib/python3.13/EXTERNALLY-MANAGED'
# It has the one library that the image with the nightly refit installs, and no packages can be installed in it.
apt_get_of_nothing='printf "#!/bin/sh\n" >$1/usr/bin/apt-get; chmod 755 $1/usr/bin/apt-get'

publish_python() { # publish_python FOLDER ARCHITECTURE...: python:3.13-slim-trixie, one tag for all architectures
    local folder="$1" architecture name=library/python making=()
    shift
    for architecture in "$@"; do
        unpacked trixie "$architecture" "$folder/python-$architecture.tar" python3,libgomp1 --extract-hook="$pip_below_local" \
            --extract-hook="$apt_get_of_nothing" &
        making+=($!)
    done
    for pid in "${making[@]}"; do wait "$pid"; done
    for architecture in "$@"; do
        publish "linux/$architecture" "$folder/python-$architecture.tar" "$name:$architecture" 'CMD ["python3"]'
    done
    docker buildx imagetools create -t "$registry_address/$name:3.13-slim-trixie" \
        "${@/#/$registry_address/$name:}" >"$folder/imagetools.log" 2>&1 || { cat "$folder/imagetools.log"; return 1; }
}

publish_services() { # publish_services FOLDER: eclipse-mosquitto:2.0.22 and prom/prometheus, with Debian's versions
    unpacked trixie "$(dpkg --print-architecture)" "$1/services.tar" mosquitto,mosquitto-clients,prometheus \
        --extract-hook='cd $1; mkdir -p mosquitto/config mosquitto/data mosquitto/log prometheus etc/prometheus
            chown -R 1883:1883 mosquitto; chown 65534:65534 prometheus'
    publish "linux/$(dpkg --print-architecture)" "$1/services.tar" services:latest
    published_from services:latest library/eclipse-mosquitto:2.0.22 <<'DOCKERFILE'
VOLUME ["/mosquitto/data", "/mosquitto/log"]
EXPOSE 1883
CMD ["/usr/sbin/mosquitto", "-c", "/mosquitto/config/mosquitto.conf"]
DOCKERFILE
    published_from services:latest prom/prometheus:v3.5.0 <<'DOCKERFILE'
USER nobody
WORKDIR /prometheus
VOLUME ["/prometheus"]
EXPOSE 9090
ENTRYPOINT ["/usr/bin/prometheus"]
DOCKERFILE
}

published_from() { # published_from IMAGE NAME: an image of the registry with other settings, from standard input
    { echo "FROM $registry_address/$1"; cat; } | docker build -q -t "$registry_address/$2" - >/dev/null
    docker push -q "$registry_address/$2" >/dev/null
}

publish_debian() { # publish_debian FOLDER ARCHITECTURE...: debian:bookworm-slim, configured by its packages' scripts
    # Without armhf an empty image is published in its place, which is resolved but never used.
    local folder="$1" architecture name=library/debian platform
    declare -A platform=([amd64]=linux/amd64 [armhf]=linux/arm/v7)
    shift
    for architecture in "$@"; do
        debian bookworm "$architecture" "$folder/debian-$architecture.tar" --variant=minbase
        publish "${platform[$architecture]}" "$folder/debian-$architecture.tar" "$name:$architecture" 'CMD ["bash"]'
    done
    if [[ " $* " != *" armhf "* ]]; then
        tar -c -f "$folder/debian-armhf.tar" -C "$folder" debian-amd64.tar.log
        publish linux/arm/v7 "$folder/debian-armhf.tar" "$name:armhf" 'CMD ["bash"]'
        set -- "$@" armhf
    fi
    docker buildx imagetools create -t "$registry_address/$name:bookworm-slim" \
        "${@/#/$registry_address/$name:}" >"$folder/imagetools-debian.log" 2>&1 || { cat "$folder/imagetools-debian.log"; return 1; }
}
