# shellcheck shell=bash
# Sourced by the measurements beside it, after they went to the project's root: what they share.
bin=build/release
items=build/bench/items.db
seconds=3 # that a rate is measured
pids=() # of what runs in the background

stop() { # stop PID: and waits for its end
	kill "$1" 2>/dev/null || true
	wait "$1" 2>/dev/null || true
}

stop_all() {
	local pid
	for pid in "${pids[@]}"; do stop "$pid"; done
	pids=()
}

median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

# rate URL CONNECTIONS [WRK ARGUMENT...]: requests a second; an answer that is no 2xx ends it.
rate() {
	local url=$1 connections=$2 out
	shift 2
	out=$(wrk -t1 -c"$connections" -d"$seconds" "$@" "$url")
	if grep -q 'Non-2xx' <<<"$out"; then
		echo "$url: $out" >&2
		exit 1
	fi
	awk '/Requests\/sec/ { print $2 }' <<<"$out"
}

# took COMMAND...: the seconds that it took.
took() {
	local begun=$EPOCHREALTIME
	"$@" >/dev/null
	awk "BEGIN { print $EPOCHREALTIME - $begun }"
}

# wait_for URL: until it answers, for at most 10 s.
wait_for() {
	curl -fs --retry 100 --retry-delay 0 --retry-all-errors --retry-max-time 10 -o /dev/null "$1"
}

# serve PORT DATABASE [SETTING=VALUE...]: in the background, and waits until it answers.
serve() {
	local port=$1 file=$2
	shift 2
	env PORT="$port" ADMIN_PORT=0 DATABASE_URL="sqlite:$file" LOG_LEVEL=info "$@" \
		$bin/hangup serve 2>/dev/null &
	pids+=($!)
	wait_for "http://127.0.0.1:$port/healthz"
}

# ratio FIGURE OTHER: how many times the other.
ratio() { awk "BEGIN { printf \"%.2f\", $1 / $2 }"; }

# make_items: 1,000,000 of them in $items, unless they are there.
make_items() {
	mkdir -p "${items%/*}"
	if [ ! -e "$items" ]; then
		DATABASE_URL=sqlite:$items $bin/hangup migrate
		DATABASE_URL=sqlite:$items $bin/hangup seed 1000000
	fi
}

# write_lines COUNT: the first of them as an import wants them.
write_lines() {
	sqlite3 "$items" "SELECT json_object('name', name, 'category', category, 'quantity', quantity,
		'price_cents', price_cents) FROM items ORDER BY id LIMIT $1"
}
