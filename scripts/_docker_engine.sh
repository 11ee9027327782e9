# Sourced by scripts/verify-docker: runs a separate Docker Engine from Debian's packages, and removes all traces of it.
# shellcheck shell=bash

engine_packages=(docker.io docker-cli docker-buildx docker-compose docker-registry runc iptables mmdebstrap arch-test mosquitto-clients python3-pip-whl qemu-user-static)
engine_pid=""
registered=() # emulators registered in the kernel by this script
mounted_formats=""

install_packages() { # install_packages PACKAGE...: those that are not installed yet
    local package missing=()
    for package in "$@"; do
        [[ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" == installed ]] || missing+=("$package")
    done
    ((${#missing[@]})) || return 0
    # Packages must not start their services.
    local policy=/usr/sbin/policy-rc.d ours=0
    [[ -e "$policy" ]] || { printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy" && ours=1; }
    apt-get update -qq &&
        DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}"
    local code=$?
    ((!ours)) || rm -f "$policy"
    return "$code"
}

start_engine() { # start_engine FOLDER: a separate daemon, with data, socket and log under FOLDER
    local folder="$1" tool
    export DOCKER_HOST="unix://$folder/docker.sock" DOCKER_CONFIG="$folder/client" DOCKER_BUILDKIT=1
    for tool in iptables ip6tables; do "$tool-save" >"$folder/$tool" 2>/dev/null || rm -f "$folder/$tool"; done
    cp /proc/sys/net/ipv4/ip_forward "$folder/ip_forward"
    [[ -e /sys/class/net/docker0 ]] || touch "$folder/no-bridge"
    places_of_engines >"$folder/places"
    # In a separate session: Ctrl-C ends this script, which needs a running engine to clean up.
    setsid dockerd --data-root "$folder/data" --exec-root "$folder/exec" --pidfile "$folder/pid" -H "$DOCKER_HOST" \
        --registry-mirror "http://$registry_address" >"$folder/dockerd.log" 2>&1 &
    engine_pid=$!
    wait_until 60 docker version || { tail -n 20 "$folder/dockerd.log"; return 1; }
}

stop_engine() { # stop_engine FOLDER: stops the daemon and reverts its changes to the machine
    local folder="$1" tool place
    [[ -n "$engine_pid" ]] || return 0
    docker ps -aq 2>/dev/null | xargs -r docker rm -f -v >/dev/null 2>&1
    docker network prune -f >/dev/null 2>&1 # after the containers: each network has its own bridge and rules
    kill "$engine_pid" 2>/dev/null
    wait "$engine_pid" 2>/dev/null
    engine_pid=""
    awk -v under="$folder/" 'index($2, under) == 1 { print $2 }' /proc/mounts | sort -r | xargs -r umount -l
    [[ ! -e "$folder/no-bridge" ]] || drop_bridge
    for tool in iptables ip6tables; do
        [[ ! -e "$folder/$tool" ]] || rules_before "$folder/$tool" | "$tool-restore"
    done
    cat "$folder/ip_forward" >/proc/sys/net/ipv4/ip_forward
    for place in $(places_of_engines | grep -vxF -f "$folder/places"); do
        case "$place" in
            /run/*) rm -rf --one-file-system "$place" ;;
            *) find "$place" -depth -type d -exec rmdir {} + ;; # a control group's files go with it
        esac
    done
}

places_of_engines() { # what an engine creates outside its own folders, and does not remove
    find /run/docker /run/containerd /sys/fs/cgroup/docker /sys/fs/cgroup/*/docker -maxdepth 0 2>/dev/null || true
}

descendants() { # descendants PID: prints all its descendants except engine and registry
    local child
    for child in $(cat "/proc/$1"/task/*/children 2>/dev/null); do
        [[ "$child" != "$engine_pid" && "$child" != "$registry_pid" ]] || continue
        echo "$child"
        descendants "$child"
    done
}

end_descendants() { # and waits for them: they might write to a folder that is being removed
    local pids
    mapfile -t pids < <(descendants $$)
    kill "${pids[@]}" 2>/dev/null
    wait_until 20 refused kill -0 "${pids[@]}"
}

drop_bridge() { # the engine does not remove its bridge
    python3 - <<'PYTHON'
import fcntl, socket, struct
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
    try:
        fcntl.ioctl(asking, 0x8914, struct.pack("16sH14x", b"docker0", 0))  # SIOCSIFFLAGS: down
        fcntl.ioctl(asking, 0x89A1, struct.pack("16s", b"docker0"))  # SIOCBRDELBR
    except OSError as error:
        print(f"docker0 stays: {error}")
PYTHON
}

rules_before() { # rules_before FILE: the saved rules, and empty tables if there were none
    local table
    for table in filter:"INPUT FORWARD OUTPUT" nat:"PREROUTING INPUT OUTPUT POSTROUTING"; do
        grep -q "^\*${table%%:*}\$" "$1" && continue
        printf '*%s\n' "${table%%:*}"
        printf ':%s ACCEPT [0:0]\n' ${table#*:}
        echo COMMIT
    done
    cat "$1"
}

register_emulators() { # register_emulators NAME...: aarch64, arm; from then on the kernel runs their programs with qemu
    local formats=/proc/sys/fs/binfmt_misc name
    [[ -e "$formats/register" ]] || { mount -t binfmt_misc binfmt_misc "$formats" && mounted_formats="$formats"; }
    for name in "$@"; do
        [[ -e "$formats/qemu-$name" ]] && continue
        cat "/usr/lib/binfmt.d/qemu-$name.conf" >"$formats/register"
        registered+=("qemu-$name")
    done
}

forget_emulators() {
    local name
    for name in "${registered[@]+"${registered[@]}"}"; do
        echo -1 >"/proc/sys/fs/binfmt_misc/$name"
    done
    registered=()
    [[ -z "$mounted_formats" ]] || umount "$mounted_formats"
    mounted_formats=""
}
