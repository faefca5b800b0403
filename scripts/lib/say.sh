# Shared by the scripts: messages, and commands whose output goes to a log.

if [ -t 2 ] && [ -z "${NO_COLOR:-}" ]; then BOLD=$'\e[1m' RED=$'\e[31m' PLAIN=$'\e[0m'; else BOLD='' RED='' PLAIN=''; fi

step() { printf '%s\n' "${BOLD}==>${PLAIN} $*" >&2; }
note() { printf '%s\n' "    $*" >&2; }
die() {
  printf '%s\n' "${RED}error:${PLAIN} $*" >&2
  exit 1
}

# need_space FOLDER MEBIBYTES: ends with a clear line when the disk is too full.
need_space() {
  local free
  free=$(df -Pm "$1" | awk 'NR == 2 {print $4}')
  [ "$free" -ge "$2" ] || die "$(cd "$1" && pwd): $free MiB free, $2 MiB needed; make room, then run this again"
}

# logged NAME COMMAND...: runs it with its output in build/logs/NAME.log; on failure says what
# went wrong in one line and where the rest is.
logged() {
  local name=$1 log=build/logs/$1.log
  shift
  mkdir -p build/logs
  "$@" >"$log" 2>&1 </dev/null && return 0
  local status=$?
  local why="failed (status $status)"
  if grep -q 'No space left on device' "$log"; then
    why="the disk is full"
  elif grep -qiE 'Temporary failure (in name )?resolving|Network is unreachable|Could not resolve|NewConnectionError|Connection (refused|timed out)|Max retries' "$log"; then
    why="no network"
  elif grep -q 'from versions: none' "$log"; then
    why="the package index gave nothing; is there a network?"
  else
    tail -n 15 "$log" | sed 's/^/    /' >&2
  fi
  die "$name: $why; all output is in $log; run this again to continue"
}
