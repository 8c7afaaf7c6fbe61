# shellcheck shell=bash
# Sourced by run: what only a resource can show. Goes with the example.
# shellcheck disable=SC2154 # run sets container, image, url, ...

json='Content-Type: application/json'
report=/v1/reports/inventory

# ---- Data ---------------------------------------------------------------------------------------

start "$image"
created=$(curl -fsS -H "$json" -d '{"name":"bolt","category":"container test"}' "$url/v1/items")
id=${created#*\"id\":}
id=${id%%[^0-9]*}
item() {
	curl -fsS "$url/v1/items/$id"
}
docker exec "$container" "$binary" backup /data/copy.db
docker kill "$container" >/dev/null
start "$image"
check "a committed item survives SIGKILL and a new container" [ "$(item)" = "$created" ]

start -e DATABASE_URL=sqlite:/data/copy.db "$image"
check "a backup of the live database holds it as well" [ "$(item)" = "$created" ]

# ---- Hanging up ---------------------------------------------------------------------------------

start -e LOG_LEVEL=info "$image"
docker exec "$container" "$binary" seed 500000 >/dev/null
seconds=$(curl -fsS -o /dev/null -w '%{time_total}' "$url$report")
early=$(awk "BEGIN { print $seconds / 3 }")

# hang_up URL: asks for the report and leaves after a third of the time it takes. When the log
# has such a line the query ran, and ended because of it.
hang_up() {
	! curl -fsS -o /dev/null --max-time "$early" "$1$report" 2>/dev/null
	eventually 2 logged "\"route\":\"$report\"" '"status":499' '"cause":"client_gone"' \
		'"cancelled_while":"running"'
}

stopped_after_ms() { # the last one
	docker logs "$container" 2>&1 | sed -n 's/.*"status":499.*"stopped_after_ms":\([0-9.]*\).*/\1/p' |
		tail -n 1
}

check "the report takes long enough to leave before its end (${seconds} s)" \
	awk "BEGIN { exit !($seconds > 0.02) }"
check "hanging up at the published port ends the query" eventually 30 hang_up "$url"
check "and that at once ($(stopped_after_ms) ms)" \
	awk "BEGIN { exit !($(stopped_after_ms) < 100) }"

# ---- Behind a proxy -----------------------------------------------------------------------------

docker build -q -t "$proxy" - >/dev/null <<'END'
FROM debian:bookworm-slim
RUN apt-get -qq update && apt-get -qq -y install --no-install-recommends nginx-light >/dev/null
END
docker network create "$network" >/dev/null
start --network "$network" --network-alias service "$image"
docker run -d --name "$proxy" --network "$network" --user 101:101 --read-only --tmpfs /tmp \
	--cap-drop=ALL -v "$PWD/deploy/nginx.conf:/etc/nginx/nginx.conf:ro" -p 127.0.0.1::8080 \
	"$proxy" nginx -g 'daemon off;' >/dev/null
proxied=http://127.0.0.1:$(docker port "$proxy" 8080/tcp | sed 's/.*://')
check "answers through nginx" eventually 20 curl -fsS -o /dev/null "$proxied/readyz"
check "hanging up at nginx ends the query behind it" eventually 30 hang_up "$proxied"
docker rm -f "$proxy" >/dev/null

# ---- Stopping with work in flight -----------------------------------------------------------------

body='{"name":"nut","category":"container test"}'

# Begins a POST: it is in flight once the service has asked for the body, of which the last byte
# is kept back.
begin_post() {
	local answer
	exec {post}<>"/dev/tcp/127.0.0.1/$port"
	printf '%s\r\n' 'POST /v1/items HTTP/1.1' 'Host: test' "$json" \
		"Content-Length: ${#body}" 'Expect: 100-continue' '' >&"$post"
	read -r -t 20 answer <&"$post"
	[[ $answer == "HTTP/1.1 100 "* ]] || fail "asked for the body, not: $answer"
	read -r -t 20 _ <&"$post"
	printf '%s' "${body%\}}" >&"$post"
}

post_status() { # of its answer
	local status
	read -r -t 20 _ status _ <&"$post"
	exec {post}<&-
	printf '%s\n' "$status"
}

start -e DRAIN_TIMEOUT_MS=20000 "$image"
begin_post
begin_stop
check "a signal begins the drain" eventually 10 logged '"message":"shutting down"'
printf '}' >&"$post"
check "what is in flight is finished" [ "$(post_status)" = 201 ]
end_stop "with a request in flight" 10

start -e DRAIN_TIMEOUT_MS=500 "$image"
begin_post
begin_stop
check "what does not end in time is answered 503" [ "$(post_status)" = 503 ]
end_stop "with a request that does not end" 5
