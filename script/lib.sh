# shellcheck shell=sh
# Sourced by the scripts beside it, not run: goes to the project's root and holds what they share.
set -eu
cd "$(dirname "$0")/.."

usage() { # prints the comment at the head of the running script
	sed -n '2,/^[^#]/s/^# \{0,1\}//p' "script/${0##*/}"
}

service_name() { # the one in CMakeLists.txt
	sed -n 's/^project(\([A-Za-z0-9_-]*\).*/\1/p' CMakeLists.txt
}

require_clean_tree() { # or ends: what a script is about to change can be seen by itself
	if ! status=$(git status --porcelain) || [ -n "$status" ]; then
		echo "script/${0##*/}: commit or stash your changes first" >&2
		exit 1
	fi
}

build() { # build PRESET [TARGET]: configures quietly, then builds
	cmake --preset "$1" >/dev/null &&
		cmake --build --preset "$1" ${2:+--target "$2"}
}

# prepare_database BINARY COUNT: sets DATABASE_URL where the environment does not, migrates, and
# puts $SEED sample rows, or COUNT, into a new database, if the service has samples.
prepare_database() {
	export DATABASE_URL="${DATABASE_URL:-sqlite:data/$(service_name).db}"
	file=${DATABASE_URL#sqlite:}
	mkdir -p "$(dirname "$file")"
	if [ -s "$file" ]; then seed=0; else seed=${SEED:-$2}; fi
	"$1" migrate
	if [ "$seed" -gt 0 ] && "$1" --help | grep -q '^  seed '; then
		"$1" seed "$seed"
		echo "Seeded $seed; for more: DATABASE_URL=$DATABASE_URL $1 seed 1000000"
	fi
}

# run_ctest PRESET [ARG...]: ThreadSanitizer of this compiler generation knows no address space
# as random as newer kernels make it, hence setarch.
run_ctest() {
	preset=$1
	shift
	if [ "$preset" = tsan ] && setarch -R true 2>/dev/null; then
		setarch -R ctest --preset "$preset" "$@"
	else
		ctest --preset "$preset" "$@"
	fi
}
