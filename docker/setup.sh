#!/bin/sh
# Runs in the service `setup` at each `docker compose up`: creates missing passwords, and from them the
# files that the services read. Existing ones are never changed: docker/secrets/accounts/NAME is the password of NAME.
set -eu
umask 077
case "$GATEWAY_ID" in
    '' | *[!A-Za-z0-9_.-]*) echo "GATEWAY_ID='$GATEWAY_ID' is not a valid id: use A-Z a-z 0-9 _ - ." >&2; exit 2 ;;
esac
cd /secrets
owner="$(stat -c %u:%g /config)" # the owner of the checkout may read the passwords

folder() { # folder NAME OWNER
    mkdir -p "$1"
    chown "$2" "$1"
    chmod 700 "$1"
}

account() { # account NAME: a password of 144 random bits, if it has none
    [ ! -s "accounts/$1" ] || return 0
    od -An -N18 -tx1 /dev/urandom | tr -d ' \n' >"accounts/$1.new"
    chown "$owner" "accounts/$1.new"
    mv "accounts/$1.new" "accounts/$1"
    echo "created a password for $1"
}

give() { # give FILE OWNER: writes standard input to FILE atomically, if it differs
    cat >"$1.new"
    if cmp -s "$1.new" "$1"; then rm "$1.new"; return; fi
    chown "$2" "$1.new"
    mv "$1.new" "$1"
}

folder accounts "$owner"
folder broker 1883:1883
folder edge 10001:10001
folder demo 10001:10001
folder grafana 472:0
for name in gapcast reader homeassistant asker replay "$@"; do
    case "$name" in *[!A-Za-z0-9_.-]* | .*) echo "'$name' is not a valid account name: use A-Z a-z 0-9 _ - ." >&2; exit 2 ;; esac
    account "$name"
done
[ -s grafana/admin-password ] || { od -An -N18 -tx1 /dev/urandom | tr -d ' \n' | give grafana/admin-password 472:0; }

give edge/mqtt-password 10001:10001 <accounts/gapcast
give demo/mqtt-password 10001:10001 <accounts/replay
if [ -e broker/ca.pem ]; then
    chown 1883:1883 broker/*.pem broker/*.key
    give edge/ca.pem 10001:10001 <broker/ca.pem
    give demo/ca.pem 10001:10001 <broker/ca.pem
fi
{
    sed "s/gw-home/$GATEWAY_ID/g" /gapcast.acl
    if [ -e /config/local.acl ]; then cat /config/local.acl; fi
} | give broker/acl 1883:1883

# The broker has only hashes, regenerated when accounts or passwords have changed.
listed="$(for file in accounts/*; do printf '%s:%s\n' "${file#accounts/}" "$(cat "$file")"; done)"
sum="$(printf %s "$listed" | sha256sum)"
if [ "$sum" != "$(cat broker/passwords.of 2>/dev/null)" ]; then
    printf '%s\n' "$listed" >/tmp/passwords
    mosquitto_passwd -U /tmp/passwords
    give broker/passwords 1883:1883 </tmp/passwords
    printf %s "$sum" >broker/passwords.of
fi
