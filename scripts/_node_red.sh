# Sourced after _environment.sh: installs Node-RED into the environments' folder, once.
# shellcheck shell=bash

need_node_red() { # need_node_red: sets `node_red` to the command of Node-RED NODE_RED=4.1.15; fails without npm
    local version="${NODE_RED:-4.1.15}" its_folder
    its_folder="${environments:?}/node-red-$version"
    node_red="$its_folder/node_modules/.bin/node-red"
    [[ ! -x "$node_red" ]] || return 0
    command -v npm >/dev/null || { say "Node-RED needs Node.js 18.5 or later, with npm"; return 1; }
    say "Installing Node-RED $version in ${its_folder#"$root"/} (once) ..."
    rm -rf "$its_folder"
    mkdir -p "$its_folder"
    npm install --prefix "$its_folder" --no-audit --no-fund --no-update-notifier --loglevel error "node-red@$version" >&2
}
