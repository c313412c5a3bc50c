# Sourced by ./test and ./demo: what Bazel needs to start also where a job has no home.
if [ -z "${HOME:-}" ]; then
  HOME=$(getent passwd "$(id -u)" | cut -d: -f6)
fi
if [ -z "$HOME" ] || [ ! -w "$HOME" ]; then
  HOME=${TMPDIR:-/tmp}/manyform-home-$(id -u)
  mkdir -p "$HOME"
fi
export HOME

# Lines now and then in a log, Bazel's own display on a terminal.
bazel_display=()
if [ ! -t 2 ] || [ -n "${CI:-}" ]; then
  bazel_display=(--curses=no --color=no --show_progress_rate_limit=30 --noshow_loading_progress)
fi
