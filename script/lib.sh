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

build() { # build PRESET [TARGET]: configures quietly, then builds
	cmake --preset "$1" >/dev/null &&
		cmake --build --preset "$1" ${2:+--target "$2"}
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
