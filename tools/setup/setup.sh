#!/bin/bash
# setup.sh [--dev] [--wheels DIR] [--debs DIR]
# setup.sh --download DIR
#
# Makes a Debian 12 machine ready: installs the packages of packages.txt and the pinned LibTorch; with
# --dev, those of packages_dev.txt and the pinned clang-tidy too. What is there already is left alone: a second call
# says nothing, needs no network and no root.
#
# Without network: --download, on another machine, collects everything in DIR/debs and DIR/wheels; here
# they are taken from tools/setup/debs and tools/setup/wheels, or from where --debs and --wheels (or
# MANYFORM_DEBS and MANYFORM_WHEELS) say.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
wheels=${MANYFORM_WHEELS:-$here/wheels}
debs=${MANYFORM_DEBS:-$here/debs}
lists=("$here/packages.txt")
download=
dev=
clang_tidy_pin=$here/../workspace/clang_tidy/wheel.txt

while (($#)); do
  case $1 in
    --dev) dev=1; lists+=("$here/packages_dev.txt") ;;
    --wheels) wheels=${2:?--wheels needs a folder}; shift ;;
    --debs) debs=${2:?--debs needs a folder}; shift ;;
    --download) download=${2:?--download needs a folder}; shift ;;
    -h | --help) sed -n '2,/^set/{/^set/!s/^# \{0,1\}//p}' "$0"; exit 0 ;;
    *) echo "setup: unknown option $1 (see --help)" >&2; exit 2 ;;
  esac
  shift
done

say() { echo "setup: $*" >&2; }
listed() { sed 's/#.*//' "${lists[@]}" | xargs -n1; }
missing() {
  comm -23 <(listed | sort) \
    <(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' | sed -n 's/^ii *//p' | sort -u)
}
# As root, by sudo if need be.
root() {
  if [ "$(id -u)" = 0 ]; then
    env DEBIAN_FRONTEND=noninteractive "$@"
  elif command -v sudo > /dev/null; then
    sudo env DEBIAN_FRONTEND=noninteractive "$@"
  else
    say "this needs root, and there is no sudo: $*"
    return 1
  fi
}

# Those of the collected .deb files that are newer than what is installed.
wanted_debs() {
  local deb name version installed
  for deb in "$debs"/*.deb; do
    read -r name version < <(dpkg-deb -W --showformat '${Package} ${Version}\n' "$deb")
    installed=$(dpkg-query -W -f '${db:Status-Abbrev}|${Version}' "$name" 2> /dev/null | sed -n 's/^ii *|//p') || true
    if [ -z "$installed" ] || dpkg --compare-versions "$version" gt "$installed"; then
      realpath "$deb"
    fi
  done
}

install_packages() {
  local packages
  mapfile -t packages < <(missing)
  [ ${#packages[@]} -gt 0 ] || return 0
  say "installing Debian packages: ${packages[*]}"
  if compgen -G "$debs/*.deb" > /dev/null; then
    say "from $debs"
    local files
    mapfile -t files < <(wanted_debs)
    [ ${#files[@]} = 0 ] ||
      root apt-get install -q -y --no-install-recommends "${files[@]}" || true
  else
    # Old lists may do, and what is missing in the end is said below.
    root apt-get update -q || true
    root apt-get install -q -y --no-install-recommends "${packages[@]}" || true
  fi
  mapfile -t packages < <(missing)
  [ ${#packages[@]} -gt 0 ] || return 0
  cat >&2 << EOF

setup: these Debian packages are still missing:

    ${packages[*]}

  With network or a mirror:   apt-get install --no-install-recommends ${packages[*]}
  Without: on a Debian 12 machine with network, call
      tools/setup/setup.sh --download DIR
  and bring DIR/debs/*.deb to $debs
  (or name their folder by --debs DIR or MANYFORM_DEBS=DIR) and DIR/wheels/*.whl to
  $wheels (or --wheels DIR, MANYFORM_WHEELS=DIR). Then call this again.
EOF
  return 1
}

# Where @clang_tidy looks for it.
install_clang_tidy() {
  local version prefix sha from=() wheel
  read -r version sha < <(sed -n 's/^clang-tidy==\(\S*\) --hash=sha256:/\1 /p' "$clang_tidy_pin")
  prefix=/opt/clang-tidy-$version
  [ ! -e "$prefix" ] || return 0
  [ -w /opt ] || prefix=${HOME:?}/.local/share/manyform/clang-tidy-$version
  [ ! -e "$prefix" ] || return 0
  for wheel in "$wheels"/clang_tidy-*.whl; do
    [ ! -e "$wheel" ] || from=(--no-index --find-links "$wheels")
  done
  say "installing clang-tidy $version in $prefix"
  mkdir -p "${prefix%/*}"
  rm -rf "$prefix.part"
  if ! python3 -m pip install --quiet --root-user-action=ignore --disable-pip-version-check --no-deps --require-hashes \
    --only-binary=:all: "${from[@]}" --target "$prefix.part" -r "$clang_tidy_pin"; then
    say "without network: bring clang-tidy $version's wheel (sha256 $sha) to $wheels;"
    say "on a machine with network, tools/setup/setup.sh --download DIR collects it"
    return 1
  fi
  mv "$prefix.part" "$prefix"
}

# As if nothing were installed: the other machine may have less than this one.
download_all() {
  mkdir -p "$download"
  download=$(cd "$download" && pwd)
  mkdir -p "$download/debs/partial" "$download/wheels"
  lists=("$here/packages.txt" "$here/packages_dev.txt")
  say "collecting Debian packages in $download/debs"
  root apt-get update -q
  # shellcheck disable=SC2046
  root apt-get install -q -y --no-install-recommends --download-only \
    -o Dir::State::status=/dev/null -o Dir::Cache::archives="$download/debs" $(listed)
  rm -rf "$download/debs/partial" "$download/debs/lock"
  "$here/install_libtorch.py" --download "$download/wheels"
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes \
    --only-binary=:all: --dest "$download/wheels" -r "$clang_tidy_pin"
}

if ! command -v dpkg-query > /dev/null; then
  say "no dpkg here: this needs Debian 12 (or packages and versions like its)"
  exit 1
fi
if [ -n "$download" ]; then
  download_all
  exit
fi
install_packages
"$here/install_libtorch.py" --wheels "$wheels"
[ -z "$dev" ] || install_clang_tidy
