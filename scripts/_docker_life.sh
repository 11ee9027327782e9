# Sourced by scripts/verify-docker: the lifecycle of an installation, and its move to another machine.
# shellcheck shell=bash

n_kept=1100 # more than the 1,000 messages that mosquitto queues for a client by default

attic() { # attic FROM N: N readings, one per minute, of a meter of that name, with its own account
    facts readings "$1" "$2" | client attic mosquitto_pub -V 5 -q 1 -l -t gap/attic/reading
}
attic_is() { # attic_is MINUTE: the newest reading of the last forecast
    [[ "$(facts ask "$(address '/predict?device=attic')" | field observed_at)" == "$(facts readings "$1" 1 | field ts)" ]]
}

check_life() { # between two restarts of the edge; its state then has 1 + 10 + n_kept minutes
    prove "an account for a meter, while the broker runs" scripts/setup-gateway account attic
    attic 0 10
    prove "its readings are forecast" wait_until 30 attic_is 9
    prove "after a kill it is restarted" comes_back
    listen kept
    docker compose stop -t 10 edge >/dev/null 2>&1
    attic 10 "$n_kept"
    docker compose restart mosquitto >/dev/null 2>&1
    up
    prove "$n_kept readings are queued in the broker while the gateway is stopped, over the broker's restart" wait_until 60 attic_is $((n_kept + 9))
    prove "and each has its forecast" received_forecasts kept "$n_kept" "$work/forecasts-kept"
    ((quick)) && return
    prove "a restored backup continues in another checkout" moves
    prove "a gateway with an existing broker, without its own" goes_to_another_broker
    check_addon
}

comes_back() { # not by `docker kill`: containers stopped by users are not restarted
    kill -KILL "$(state_of edge .State.Pid)"
    wait_until 30 was_restarted && wait_until 30 is_healthy edge
}
was_restarted() { [[ "$(state_of edge .RestartCount) $(state_of edge .State.Running)" == "1 true" ]]; }

moves() { # as docs/docker.md has it
    local before
    docker compose stop -t 10 edge
    docker run --rm -v "${COMPOSE_PROJECT_NAME}_state:/state:ro" -v "$PWD:/backup" --entrypoint tar --user 0 gapcast:latest \
        czf /backup/state.tar.gz -C /state . || return 1
    tar czf settings.tar.gz docker/config docker/secrets
    docker compose start edge
    wait_until 30 is_healthy edge || return 1
    before="$(facts ask "$(address '/predict?device=attic')")"
    take_checkout "$work/other"
    (
        cp ./*.tar.gz "$work/other/" && cd "$work/other" && choose_ports && COMPOSE_PROJECT_NAME=gapcast-moved || exit 1
        tar xzf settings.tar.gz
        docker compose create
        docker run --rm -v "${COMPOSE_PROJECT_NAME}_state:/state" -v "$PWD:/backup" --entrypoint tar --user 0 gapcast:latest \
            xzf /backup/state.tar.gz -C /state || exit 1
        up
        wait_until 60 is_healthy edge && [[ "$(facts ask "$(address '/predict?device=attic')")" == "$before" ]] || exit 1
        attic $((n_kept + 10)) 1
        wait_until 30 attic_is $((n_kept + 10)) || exit 1
        docker compose down -v -t 10
    )
}

goes_to_another_broker() { # as docs/docker.md has it; the broker is this installation's, accessed from outside its network
    local password port="$MQTT_PORT"
    password="$(password_of gapcast)"
    docker compose stop -t 10 edge
    MQTT_BIND=0.0.0.0 docker compose up -d --no-build mosquitto
    take_checkout "$work/external"
    (
        cd "$work/external" && choose_ports && COMPOSE_PROJECT_NAME=gapcast-external || exit 1
        unset COMPOSE_FILE MQTT_PORT
        printf '%s\n' "COMPOSE_FILE=docker-compose.yml:docker-compose.external.yml:$work/stand-ins.yml" "MQTT_HOST=$(hostname -I | cut -d ' ' -f 1)" \
            "MQTT_PORT=$port" MQTT_USERNAME=gapcast >>.env
        docker compose run --rm setup || exit 1
        printf %s "$password" >docker/secrets/accounts/gapcast
        for _ in 1 2; do # the second time nothing changes, and no broker is started
            up
            wait_until 60 is_healthy edge && wait_until 30 has_connected 1 || { docker compose logs --tail 20 edge; exit 1; }
            [[ "$(docker compose ps --services --status running)" == edge ]] || { docker compose ps; exit 1; }
        done
        docker compose down -v -t 10
    ) || return 1
    up
    attic $((n_kept + 10)) 1
    wait_until 30 attic_is $((n_kept + 10))
}

check_addon() { # the image with LightGBM from a registry, built and started as Home Assistant does; the options name the broker
    local base="$registry_address/gapcast-refit"
    build linux/amd64 "$base:$(version)" docker/Dockerfile --build-arg REQUIREMENTS=refit || { tail -n 40 "$work/build.log"; fail "build with the refit"; }
    figures[refit]="$(own_megabytes "$base:$(version)" python:amd64)"
    docker push -q "$base:$(version)" >/dev/null
    docker compose stop -t 10 edge >/dev/null 2>&1
    prove "the add-on is built on the image" docker build -q --pull --build-arg "IMAGE=$base" -t gapcast-homeassistant homeassistant-addon
    prove "own layers ${figures[refit]} MB; LightGBM can be loaded" docker run --rm --network none --entrypoint /opt/gapcast/bin/python \
        gapcast-homeassistant -c 'import gapcast.refit.fit'
    mkdir "$work/addon"
    facts options mosquitto "$(password_of gapcast)" >"$work/addon/options.json"
    chmod 600 "$work/addon/options.json"
    docker run -d --name addon --network "${COMPOSE_PROJECT_NAME}_default" -v "$work/addon:/data" gapcast-homeassistant >/dev/null
    prove "the add-on is healthy" wait_until 60 addon_is healthy .State.Health.Status
    prove "and dropped root" grep -qE '^Uid:\s+10001\s+10001' "/proc/$(docker inspect -f '{{.State.Pid}}' addon)/status"
    docker stop -t 10 addon >/dev/null
    prove "SIGTERM ends it with 0" addon_is 0 .State.ExitCode
    docker rm -v addon >/dev/null
    up
}
addon_is() { [[ "$(docker inspect -f "{{$2}}" addon)" == "$1" ]]; }
