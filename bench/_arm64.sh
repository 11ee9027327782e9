# Sourced after _environment.sh: an emulated 64-bit ARM machine that counts instructions, below .venvs/arm64.
# shellcheck shell=bash
#
# Debian's qemu-user is linked statically and so cannot load plugins: QEMU is built from Debian's source package. Its
# packages come from the mirror that this machine's apt uses.

arm64_packages="gcc ninja-build pkg-config libglib2.0-dev python3-venv dpkg-dev"

need_arm64() { # need_arm64 PYTHON: creates the machine, once, or exits with a message
    local base="$1" stamp tool missing=""
    arm64="${environments:?}/arm64"
    stamp="$(cat "${root:?}/requirements/edge.txt" "$root/bench/instruction_plugin.c" "$root/bench/_arm64.sh" | sha256sum)"
    [[ "$(cat "$arm64/stamp" 2>/dev/null)" == "$stamp" ]] && return
    command -v apt-get >/dev/null || { say "--arm64 needs Debian"; exit 1; }
    for tool in gcc ninja pkg-config dpkg-source; do
        command -v "$tool" >/dev/null || missing="$tool"
    done
    if [[ -n "$missing" ]] || ! pkg-config --exists glib-2.0; then
        say "--arm64 needs: apt-get install $arm64_packages"
        exit 1
    fi
    say "Setting up an emulated 64-bit ARM machine in ${arm64#"$root"/} (once; ten minutes) ..."
    mkdir -p "$arm64"
    (
        cd "$arm64" || exit
        "$base" -m venv --clear venv
        build_emulator
        unpack_userland
        unpack_wheels
    ) >"$arm64/log" 2>&1 & # in the background, so that the first error ends it
    if ! wait $!; then
        tail -n 20 "$arm64/log" >&2
        say "Could not set up the emulated machine; the whole output is in $arm64/log"
        exit 1
    fi
    printf '%s\n' "$stamp" >"$arm64/stamp"
}

# shellcheck disable=SC2016
arm64_apt() { # arm64_apt TYPE ARCHITECTURE ARGUMENT...: apt-get with lists of its own, in ./apt-ARCHITECTURE
    local folder="$PWD/apt-$2" mirror release
    mirror="$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep '/debian/$' | head -n 1)"
    release="$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)"
    mkdir -p "$folder/lists/partial" "$folder/cache/archives/partial"
    : >"$folder/status"
    echo "$1 [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $release main" >"$folder/sources.list"
    apt-get -o "Dir::Etc::sourcelist=$folder/sources.list" -o Dir::Etc::sourceparts=/dev/null \
        -o "Dir::State::lists=$folder/lists" -o "Dir::State::status=$folder/status" -o "Dir::Cache=$folder/cache" \
        -o "APT::Architecture=$2" -o "APT::Architectures=$2" -o "APT::Sandbox::User=$(id -un)" "${@:3}"
}

build_emulator() { # build_emulator: QEMU's user emulation of aarch64 with plugins, and the plugin that counts
    rm -rf source build qemu_*
    arm64_apt deb-src "$(dpkg --print-architecture)" update -qq
    arm64_apt deb-src "$(dpkg --print-architecture)" source --only-source --download-only qemu
    mkdir source && tar -xf qemu_*.orig.tar.xz -C source --strip-components=1
    venv/bin/python -m pip --disable-pip-version-check download --quiet --no-deps -d source/python/wheels meson==1.5.0 pycotap==1.3.1
    mkdir build
    (cd build && ../source/configure --target-list=aarch64-linux-user --without-default-features --enable-linux-user \
        --enable-plugins --disable-install-blobs && ninja qemu-aarch64)
    cp build/qemu-aarch64 .
    # shellcheck disable=SC2046
    gcc -O2 -shared -fPIC -I source/include/qemu $(pkg-config --cflags glib-2.0) -o count.so "$root/bench/instruction_plugin.c"
    rm -rf source build qemu_*
}

unpack_userland() { # unpack_userland: Debian's Python for arm64, with the libraries that it and the wheels need
    local package
    rm -rf userland
    arm64_apt deb arm64 update -qq
    arm64_apt deb arm64 install -y -qq --no-install-recommends --download-only \
        python3-minimal libpython3-stdlib libstdc++6 zlib1g
    mkdir -p userland/usr/lib
    ln -s usr/lib userland/lib
    for package in apt-arm64/cache/archives/*.deb; do
        dpkg-deb -x "$package" userland
    done
}

unpack_wheels() { # unpack_wheels: requirements/edge.txt for it
    local minor wheel platforms=() one
    minor="$(basename "$(readlink userland/usr/bin/python3)")"
    for one in manylinux_2_28 manylinux_2_27 manylinux_2_17 manylinux2014; do
        platforms+=(--platform "${one}_aarch64")
    done
    rm -rf wheels site
    venv/bin/python -m pip --disable-pip-version-check download --quiet --no-deps --only-binary :all: "${platforms[@]}" \
        --implementation cp --python-version "${minor#python}" -d wheels --require-hashes -r "$root/requirements/edge.txt"
    mkdir site
    for wheel in wheels/*.whl; do
        venv/bin/python -m zipfile -e "$wheel" site
    done
}

count_arm64() { # count_arm64 FILE ARGUMENT...: runs its Python, which writes each counted number to FILE
    local python3
    python3="$arm64/userland/usr/bin/$(readlink "$arm64/userland/usr/bin/python3")"
    PYTHONPATH="$arm64/site:$PYTHONPATH" "$arm64/qemu-aarch64" -L "$arm64/userland" -plugin "$arm64/count.so,out=$1" \
        "$python3" "${@:2}"
}
