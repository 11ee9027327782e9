# Sourced by scripts/verify-docker: starts the compose file and tests the services.
# shellcheck shell=bash

n_replayed=300 # of the bundled week, from its first minute; a forecast for each but the first
replay_from=2010-07-12

address() { echo "http://127.0.0.1:$HTTP_PORT$1"; }
field() { facts field "$1"; }
container() { docker compose ps -aq "$1"; }
state_of() { docker inspect -f "{{$2}}" "$(container "$1")"; } # state_of SERVICE TEMPLATE
is_healthy() { [[ "$(state_of "$1" .State.Health.Status)" == healthy ]]; }
has_connected() { (($(docker compose logs --no-log-prefix edge | grep -c '"mqtt.connected"') >= $1)); } # has_connected TIMES
password_of() { cat "docker/secrets/accounts/$1"; }
inside() { # inside SERVICE COMMAND...: prints its output; again if the engine could not start it, whose error is output too
    local attempt code
    for attempt in 1 2 3; do
        code=0
        docker compose exec -T "$@" >"$work/inside" || code=$?
        grep -q '^OCI runtime exec failed' "$work/inside" || break
        note "the engine could not start a command (attempt $attempt): $(head -n 1 "$work/inside")" >&2
    done
    cat "$work/inside"
    return "$code"
}
client() { # client ACCOUNT COMMAND OPTION...: one of mosquitto's own clients, by the port that the compose file publishes
    "$2" -h 127.0.0.1 -p "$MQTT_PORT" -u "$1" -P "$(password_of "$1")" "${@:3}"
}
inner_client() { # inner_client ACCOUNT COMMAND OPTION...: the same on the broker's network, where its certificate's name is known
    inside mosquitto "$2" -h mosquitto -u "$1" -P "$(password_of "$1")" "${@:3}"
}
listen() { # listen SESSION: from then on the broker queues forecasts for a reader of that name
    client reader mosquitto_sub -V 311 -c -i "$1" -q 1 -t 'gap/+/forecast' -E
}
received_forecasts() { # received_forecasts SESSION N FILE: N forecasts that were queued for it
    client reader mosquitto_sub -V 311 -c -i "$1" -q 1 -t 'gap/+/forecast' -C "$2" -W 120 >"$3"
    [[ "$(wc -l <"$3")" == "$2" ]] || { head -n 3 "$3"; return 1; }
}
replay() { # replay MINUTE N: N readings of the bundled week, at full speed, by the service `demo`
    docker compose run --rm --no-deps -T demo replay --speed max --start "${replay_from}T$(printf %02d:%02d $(($1 / 60)) $(($1 % 60)))Z" \
        --limit "$2" 2>&1
}
observed() { facts ask "$(address '/predict?device=replay')" | field observed_at; }
minute() { printf '%sT%02d:%02d:00Z' "$replay_from" $(($1 / 60)) $(($1 % 60)); }
observed_is() { [[ "$(observed)" == "$(minute "$1")" ]]; }
observed_between() { # observed_between MINUTE MINUTE: the first, or a later one before the second
    local at
    at="$(observed)"
    [[ ! "$at" < "$(minute "$1")" && "$at" < "$(minute "$2")" ]]
}
up() { docker compose up -d --no-build "$@" >"$work/up.log" 2>&1 || { tail -n 20 "$work/up.log"; docker compose logs --tail 30; fail "up $*"; }; }
down() { docker compose --profile '*' down -v -t 10 >"$work/down.log" 2>&1 || { cat "$work/down.log"; fail down; }; }

refuses_wrong_password() {
    local code=0
    mosquitto_sub -V 311 -h 127.0.0.1 -p "$MQTT_PORT" -u gapcast -P wrong -t 'gap/#' -C 1 -W 5 || code=$?
    [[ "$code" == 5 ]] # refused: not authorised
}
refuses_forbidden_topics() { # a reader that publishes, and a meter that publishes another one's readings
    client reader mosquitto_pub -V 5 -q 1 -t gap/forbidden/reading -m 1.5 2>&1 | grep -i 'not authorized' || return 1
    client replay mosquitto_pub -V 5 -q 1 -t gap/forbidden/reading -m 1.5 2>&1 | grep -i 'not authorized' || return 1
    facts ask "$(address /devices/forbidden)" | grep -q '"status":404'
}
answers_predict() {
    facts ask "$(address /predict)" '{"readings": [1.2, 1.3, 1.1, 1.4]}' | field gap_kw
}
is_confined() {
    local status
    status="$(inside edge cat /proc/1/status)"
    grep -qE '^Uid:\s+10001\s+10001' <<<"$status" && grep -qE '^CapBnd:\s+0+$' <<<"$status" && grep -qE '^CapEff:\s+0+$' <<<"$status" &&
        grep -qE '^NoNewPrivs:\s+1' <<<"$status" && grep -qE '^Seccomp:\s+2' <<<"$status" &&
        inside edge sh -c '! touch /opt/gapcast/x 2>&1 && ! touch /etc/gapcast/x && touch /var/lib/gapcast/x && rm /var/lib/gapcast/x' &&
        [[ "$(state_of edge .HostConfig.ReadonlyRootfs)" == true ]]
}
stops_in_time() { # SIGTERM, and SIGKILL (137) after ten seconds
    local started=$EPOCHREALTIME
    docker compose stop -t 10 edge
    [[ "$(state_of edge .State.ExitCode)" == 0 ]] && seconds_since "$started" | tee "$work/stopped-after"
}
seconds_since() { python3 -c 'import sys; print(f"{float(sys.argv[2]) - float(sys.argv[1]):.1f}")' "$1" "$EPOCHREALTIME"; }
memory_mb() { # memory_mb: the memory of the edge's container without page cache
    docker stats --no-stream --format '{{.MemUsage}}' "$(container edge)" |
        python3 -c 'import re, sys; n, unit = re.match(r"([0-9.]+)([KMG])iB", sys.stdin.read()).groups(); print(round(float(n) * 1024 ** ("KMG".index(unit) + 1) / 1e6))'
}

choose_ports() { # a gateway's usual ports may be in use on this machine
    read -r HTTP_PORT MQTT_PORT MQTT_TLS_PORT PROMETHEUS_PORT < <(free_ports 4)
    export HTTP_PORT MQTT_PORT MQTT_TLS_PORT PROMETHEUS_PORT COMPOSE_PROJECT_NAME=gapcast-verified
}

check_system() {
    local started now most=0
    choose_ports
    docker compose --profile monitoring pull -q mosquitto prometheus
    started=$EPOCHREALTIME
    up
    wait_until 60 is_healthy edge || { docker compose logs --tail 30; fail "the edge is $(state_of edge .State.Health.Status)"; }
    figures[healthy]="$(seconds_since "$started")"
    prove "healthy ${figures[healthy]} s after \`up\`, passwords created on the way; at most 15" test "${figures[healthy]%.*}" -lt 15

    ((!quick)) || start_armv7
    up --no-recreate prometheus # it scrapes every half minute
    listen first
    prove "$n_replayed readings over the broker" replay 0 "$n_replayed"
    prove "a forecast for each, by the reader's account" received_forecasts first $((n_replayed - 1)) "$work/forecasts-amd64"
    prove "a wrong password is refused" refuses_wrong_password
    prove "topics beyond an account's rights are refused" refuses_forbidden_topics
    prove "POST /predict answers, kW" answers_predict
    prove "non-root, no capabilities, root read-only, state writable" is_confined

    docker compose restart mosquitto >/dev/null 2>&1
    prove "the broker is restarted, and the edge finds it again" wait_until 60 has_connected 2
    replay "$n_replayed" 10 >/dev/null
    prove "readings after that are forecast" wait_until 30 observed_is $((n_replayed + 9))

    facts ask "$(address '/predict?device=replay')" >"$work/before"
    prove "SIGTERM ends it with 0, in s" stops_in_time
    figures[stop]="$(cat "$work/stopped-after")"
    up
    wait_until 60 is_healthy edge
    facts ask "$(address '/predict?device=replay')" >"$work/after"
    prove "a restart keeps the last forecast" cmp "$work/before" "$work/after"
    replay $((n_replayed + 10)) 1 >/dev/null
    prove "and the buffer" wait_until 30 observed_is $((n_replayed + 10))
    prove "of 180 minutes" test "$(facts ask "$(address '/predict?device=replay')" | field n_observed)" == 180
    check_life

    prove "Prometheus is healthy" wait_until 60 is_healthy prometheus
    prove "its configuration is valid" inside prometheus promtool check config /etc/prometheus/prometheus.yml
    prove "it scrapes the edge, and has the alerts" wait_until 60 watches_the_edge

    up --no-recreate demo
    prove "the demo's replay is forecast" wait_until 60 observed_between 5 "$n_replayed" # it starts anew, a minute per second
    for _ in 1 2 3; do
        now="$(memory_mb)"
        most=$((now > most ? now : most))
    done
    figures[memory]="$most"
    figures[resident]="$(inside edge sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' /proc/1/status)"
    prove "the edge's memory under the demo: $most MB, at most 110" test "$most" -le 110
    check_tls
    prove "the logs contain no password" logs_no_password
    down
}

watches_the_edge() {
    facts ask "http://127.0.0.1:$PROMETHEUS_PORT/api/v1/query?query=gapcast_broker_connected" | grep -q '"1"\]' &&
        facts ask "http://127.0.0.1:$PROMETHEUS_PORT/api/v1/rules" | grep -q GapcastBrokerAway
}

logs_no_password() {
    docker compose --profile '*' logs >"$work/logs" 2>&1
    ! grep -F -f <(cat docker/secrets/accounts/* docker/secrets/grafana/admin-password | sed 's/$/\n/' | grep .) "$work/logs"
}

check_tls() {
    local plain="$COMPOSE_FILE"
    prove "certificates for the broker" scripts/setup-gateway tls gateway.local 192.168.1.10
    COMPOSE_FILE="$plain:docker-compose.tls.yml"
    up
    prove "over TLS: healthy" wait_until 60 is_healthy edge
    prove "over TLS: readings are forecast" over_tls
    prove "over TLS: the plain port is closed" refuses_without_tls
    prove "over TLS: a client that trusts other authorities does not connect" distrusts_the_broker
    COMPOSE_FILE="$plain"
}
refuses_without_tls() {
    local said
    said="$(inner_client reader mosquitto_pub -p 1883 -t x -n 2>&1)" && return 1
    grep 'Connection refused' <<<"$said"
}
distrusts_the_broker() {
    local said
    said="$(inner_client reader mosquitto_pub -d -p 8883 --cafile /etc/ssl/certs/ca-certificates.crt -t x -n 2>&1)" && return 1
    grep -i 'certificate verify failed' <<<"$said"
}
over_tls() {
    replay $((n_replayed + 11)) 10 && wait_until 30 observed_is $((n_replayed + 20))
}

check_other_machine() { # check_other_machine ARCHITECTURE MACHINE CPU KW: the edge on an emulated machine, with the forecasts of x86-64
    local plain="$COMPOSE_FILE" started=$SECONDS
    cat >"$work/$3.yml" <<YAML
services:
  edge:
    image: gapcast:$1
    platform: ${platforms[$1]}
    environment: {QEMU_CPU: $3}
YAML
    COMPOSE_FILE="$plain:$work/$3.yml"
    up
    wait_until 120 is_healthy edge || { docker compose logs --tail 30 edge; fail "the edge on $3 is $(state_of edge .State.Health.Status)"; }
    prove "$3: it is one" test "$(inside edge uname -m)" == "$2"
    prove "$3: non-root, no capabilities, root read-only, state writable" is_confined
    prove "$3: POST /predict answers, kW" answers_predict
    listen first
    replay 0 "$n_replayed" >/dev/null
    received_forecasts first $((n_replayed - 1)) "$work/forecasts-$3" || fail "$3: $(wc -l <"$work/forecasts-$3") forecasts received"
    figures[$3]="$(facts compare "$work/forecasts-amd64" "$work/forecasts-$3" "$4")" || fail "$3: ${figures[$3]}"
    note "ok   $3: as on x86-64: ${figures[$3]}"
    prove "$3: SIGTERM ends it with 0, in s" stops_in_time
    down
    COMPOSE_FILE="$plain"
    note "$3 took $((SECONDS - started)) s"
}

machine_of() { sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1; }

figures_table() { # as docs/docker.md has it
    printf '%s, %s, Docker %s:\n\n| | measured | at most |\n| --- | --- | --- |\n' \
        "$(date -u +%Y-%m-%d)" "$(nproc) cores of $(machine_of)" "$(docker info -f '{{.ServerVersion}}')"
    printf '| %s | %s | %s |\n' \
        "own layers of the edge, linux/amd64" "${figures[layers_amd64]} MB" "" \
        "own layers of the edge, linux/arm64" "${figures[layers_arm64]} MB" "150 MB"
    ((quick)) || printf '| %s | %s | %s |\n' \
        "own layers of the edge, linux/arm/v7, Debian's Python and numpy among them" "${figures[layers_arm]} MB" "150 MB" \
        "own layers of the image with the nightly refit, linux/amd64" "${figures[refit]} MB" "" \
        "own layers of the trainer, linux/amd64" "${figures[trainer]} MB" ""
    printf '| %s | %s | %s |\n' \
        'from `docker compose up` to *healthy*, linux/amd64, the first time' "${figures[healthy]} s" "15 s" \
        "memory of the edge's container under the demo, linux/amd64" "${figures[memory]} MB" "110 MB" \
        "the same with the libraries' pages, which the kernel may drop (RSS)" "$((figures[resident] * 1024 / 1000000)) MB" "" \
        "SIGTERM to the end, linux/amd64" "${figures[stop]} s" "10 s" \
        "forecasts on an emulated Cortex-A53, beside x86-64's" "${figures[cortex-a53]}" "0.00001 kW"
    ((quick)) || printf '| %s | %s | %s |\n' "the same on a Cortex-A72" "${figures[cortex-a72]}" "0.00001 kW"
    printf '| %s | %s | %s |\n' \
        "the same on a 32-bit Cortex-A7, with the older TFLite and numpy there" "${figures[cortex-a7]}" "0.0001 kW"
}

write_figures() { # write_figures FILE: between its two markers
    figures_table >"$work/figures"
    sed -i -e "/<!-- figures -->/,/<!-- \/figures -->/{/<!-- figures -->/r $work/figures
/<!-- /!d}" "$1"
}
