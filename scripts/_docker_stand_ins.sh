# Sourced by scripts/verify-docker: where no registry can be reached, images under the names that the project's files use,
# made from Debian's packages. What they stand in for, and what that leaves open: docs/docker.md.
# shellcheck shell=bash

# What python:3.13-slim-trixie, eclipse-mosquitto:2 and prom/prometheus are, as far as the project leans on them: Python with
# pip below /usr/local, accounts of the same numbers, the same folders.
python_packages=base-files,base-passwd,bash,coreutils,dash,diffutils,findutils,grep,gzip,hostname,libc-bin,libgcc-s1
python_packages+=,libstdc++6,login,sed,tar,util-linux,python3,ca-certificates,openssl
accounts='for file in passwd group; do cp $1/usr/share/base-passwd/$file.master $1/etc/$file; chmod 644 $1/etc/$file; done'

debian() { # debian RELEASE ARCHITECTURE FILE OPTION...: a root file system, as a tar file
    local release="$1" architecture="$2" file="$3" mirror
    mirror="$(apt-get indextargets --format '$(SITE)' | grep -m1 '/debian$')"
    mmdebstrap --quiet --mode=root --architectures="$architecture" \
        --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Check-Date "false"' \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' "${@:4}" "$release" "$file" \
        "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $release main"
}

# Its pip is Debian's wheel of pip, where Docker's Python image has it.
pip_below_local='local=$1/usr/local; mkdir -p $local/bin $local/lib/python3.13/dist-packages
ln -s dist-packages $local/lib/python3.13/site-packages
python3 -m zipfile -e /usr/share/python-wheels/pip-*.whl $local/lib/python3.13/dist-packages
ln -s ../../bin/python3 $local/bin/python3
rm -f $1/usr/lib/python3.13/EXTERNALLY-MANAGED
cat $1/usr/share/ca-certificates/mozilla/*.crt >$1/etc/ssl/certs/ca-certificates.crt'

python_system() { # python_system ARCHITECTURE FILE: what python:3.13-slim-trixie holds
    # Unpacked, not set up: no package's script is run under an emulator.
    local options=(--variant=extract --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr --extract-hook="$accounts"
        --extract-hook="$pip_below_local" --include="$python_packages")
    debian trixie "$1" "$2" "${options[@]}"
}

import_image() { # import_image PLATFORM FILE NAME COMMAND
    docker import --platform "$1" -c 'ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin' \
        -c 'ENV LANG=C.UTF-8' -c "CMD [\"$4\"]" "$2" "$3" >/dev/null
    rm -f "$2"
}
