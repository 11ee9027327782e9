# Sourced by the other scripts: finds a Python and maintains one environment per requirements file, under .venvs/.
# shellcheck shell=bash

root="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)"
environments="${GAPCAST_VENVS:-$root/.venvs}"

# Bytecode, written at the first import, spares each later start of a process most of its time.
unset PYTHONDONTWRITEBYTECODE

say() { # say WORD...: one line of progress, on standard error
    printf '%s\n' "$*" >&2
}

is_python() { # is_python COMMAND MINOR...: whether it runs, is CPython 3.MINOR, and can create an environment
    "$1" - "${@:2}" >/dev/null 2>&1 <<'PYTHON'
import ensurepip, platform, sys, venv
ours = platform.python_implementation() == "CPython" and sys.version_info[0] == 3
sys.exit(not (ours and str(sys.version_info[1]) in sys.argv[1:]))
PYTHON
}

find_python() { # find_python MINOR...: prints the first available Python of these 3.x versions, in this order; else fails
    local minor candidate
    if [[ -n "${GAPCAST_PYTHON:-}" ]] && is_python "$GAPCAST_PYTHON" "$@"; then
        echo "$GAPCAST_PYTHON"
        return
    fi
    for candidate in python3 python; do
        if is_python "$candidate" "$@"; then
            command -v "$candidate"
            return
        fi
    done
    for minor in "$@"; do
        for candidate in "python3.$minor" "${PYENV_ROOT:-${HOME:-}/.pyenv}/versions/3.$minor".*/bin/python3; do
            if is_python "$candidate" "$minor"; then
                command -v "$candidate"
                return
            fi
        done
    done
    return 1
}

need_python() { # need_python: prints a supported Python, or exits with a message
    find_python 13 12 11 && return
    local found
    found="$(command -v python3 >/dev/null && python3 --version 2>&1 || echo "no python3")"
    say "gapcast needs CPython 3.11, 3.12 or 3.13 with venv (on Debian: apt install python3-venv); found: $found."
    say "Put one on the PATH, or name it: GAPCAST_PYTHON=/path/to/python3.12 $0"
    exit 1
}

# What an environment was created from: Python, path and version of the checkout, and files.
stamp_of='
import hashlib, pathlib, sys, tomllib
root, *files = sys.argv[1:]
version = tomllib.loads(pathlib.Path(root, "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
content = b"".join(pathlib.Path(file).read_bytes() for file in files)
print(sys.version.split()[0], sys.base_prefix, root, version, hashlib.sha256(content).hexdigest())
'

# What ziglang compiled of its own runtime, for all builds of wheels.
export ZIG_GLOBAL_CACHE_DIR="${ZIG_GLOBAL_CACHE_DIR:-$environments/zig}"

# environment NAME PYTHON [FOLDER]: sets `python` to that of an environment with exactly requirements/NAME.txt.
# Created once; recreated if its stamp has changed.
environment() {
    local name="$1" base="$2" folder requirements stamp log started=$SECONDS
    case "$name" in build | tools) ;; *) compiled_steps "$base" ;; esac
    folder="$environments/${3:-$name}"
    requirements="$root/requirements/$name.txt"
    stamp="$("$base" -c "$stamp_of" "$root" "$requirements" "$root/scripts/_link_checkout.py")"
    python="$folder/bin/python"
    [[ -x "$python" && -e "$folder/gapcast-stamp" && "$(<"$folder/gapcast-stamp")" == "$stamp" ]] && return

    say "Setting up ${folder#"$root"/} from requirements/$name.txt with Python ${stamp%% *} (once; a minute or two) ..."
    mkdir -p "$environments"
    log="$environments/${3:-$name}.log"
    rm -rf "$folder"
    if ! make_environment "$base" "$folder" "$requirements" >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        say "Could not install requirements/$name.txt; pip's output is in $log"
        exit 1
    fi
    "$python" "$root/scripts/_link_checkout.py" "$root"
    printf '%s\n' "$stamp" >"$folder/gapcast-stamp"
    say "... done in $((SECONDS - started)) s."
}

compiled_steps() { # compiled_steps PYTHON: builds the checkout's C library, if its sources have changed; without cc none
    local code=0
    [[ -w "$root/edge/gapcast/compiled" ]] || return 0
    "$1" "$root/edge/native/build.py" || code=$?
    case "$code" in
        0) ;;
        3) say "No C compiler (cc): gapcast uses numpy alone, with the same results, slower (on Debian: apt install gcc libc6-dev)." ;;
        *) say "edge/native does not compile."; exit 1 ;;
    esac
}

make_environment() { # make_environment PYTHON FOLDER REQUIREMENTS: by uv, several times faster than pip; else by pip
    # Spark has no wheel: the one that is built here, 500 MB, is unpacked at once. Compressing it takes eleven seconds.
    local uv stored=(--config-settings-package "pyspark:--build-option=--compression=stored")
    if uv="$(find_uv "$1")" && "$uv" venv --quiet --python "$1" "$2" &&
        "$uv" pip install --quiet --python "$2/bin/python" --require-hashes "${stored[@]}" -r "$3"; then
        # What an index forbids to cache, uv stores again each time; pyspark, built from source, takes 1.9 GB.
        "$uv" cache prune --quiet || say "uv could not remove what is unused from its cache"
        return
    fi
    rm -rf "$2"
    "$1" -m venv "$2" &&
        "$2/bin/python" -m pip --disable-pip-version-check install --quiet --no-compile --require-hashes --prefer-binary -r "$3"
}

find_uv() { # find_uv PYTHON: prints the command uv: one on the PATH, or the locked version, installed once; else fails
    [[ -z "${GAPCAST_NO_UV:-}" ]] || return 1
    command -v uv && return
    local own="$environments/uv" made
    if [[ ! -x "$own" ]]; then
        mkdir -p "$environments"
        made="$(mktemp -d "$environments/uv-XXXXXX")" || return 1
        sed -n '/^uv==/,/^[^ ]/p' "$root/requirements/tools.txt" | sed '$d' >"$made/requirements.txt"
        if "$1" -m venv "$made/venv" && "$made/venv/bin/python" -m pip --disable-pip-version-check install --quiet \
            --no-compile --require-hashes --only-binary :all: -r "$made/requirements.txt"; then
            mv -f "$made/venv/bin/uv" "$own" # one file, which needs nothing beside it
        fi
        rm -rf "$made"
    fi >&2
    [[ -x "$own" ]] && echo "$own"
}
