#!/usr/bin/env bash
# Builds the tools that a Go module names and prints the folder they are in: build.sh [FOLDER [TOOL...]], without a folder
# this one's go.mod, without names all of its tools.
# The first time takes some 25 minutes on two cores; afterwards the folder is found by the hash of go.mod and go.sum.
# Kept outside the clone: HAMI_CLUSTER_CACHE, else the user's cache folder.
set -euo pipefail
cd "${1:-$(dirname "$0")}"
shift || true
wanted=("$@")

if ! command -v go >/dev/null; then
  echo "the cluster tests build Kubernetes from source and need Go 1.26 or newer, which is not installed." >&2
  echo "install it from https://go.dev/dl (Debian: golang-go from a release that has 1.26), or leave these tests out" >&2
  exit 1
fi

# What needs a version stamp: components refuse or misjudge each other's versions without it.
flags="-s -w"
kubernetes=$(awk '$1 == "k8s.io/kubernetes" && $2 ~ /^v/ {print $2; exit}' go.mod)
if [[ -n $kubernetes ]]; then
  minor=${kubernetes#v1.}
  minor=${minor%%.*}
  stamp="k8s.io/component-base/version"
  flags+=" -X $stamp.gitVersion=$kubernetes -X $stamp.gitMajor=1 -X $stamp.gitMinor=$minor"
fi

cache=${HAMI_CLUSTER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/hami-cluster}
bin=$cache/$(cat go.mod go.sum | sha256sum | cut -c1-16)
mkdir -p "$bin"
tools=$(awk '/^tool \(/ {inside = 1; next} inside && /^\)/ {exit} inside {print $1} /^tool [^(]/ {print $2}' go.mod)
for tool in $tools; do
  name=$(basename "$tool")
  [[ $name == v[0-9]* ]] && name=$(basename "$(dirname "$(dirname "$tool")")")  # go.etcd.io/etcd/server/v3
  ((${#wanted[@]})) && [[ " ${wanted[*]} " != *" $name "* ]] && continue
  [[ -x $bin/$name ]] && continue
  echo "building $name: $(go list -deps "$tool" | wc -l) packages at most, fewer where some are compiled already" >&2
  # To a temporary name: a build cut short leaves nothing that looks finished.
  CGO_ENABLED=0 go build -v -trimpath -buildvcs=false -ldflags "$flags" -o "$bin/.$name.partial" "$tool" 2>&1 |
    awk -v name="$name" '
      /^[^ ]+\/[^ ]+$|^[a-z]+$/ {if (++done % 100 == 0) {print name ": " done " packages compiled"; fflush()} next}
      {print; fflush()}' >&2
  mv "$bin/.$name.partial" "$bin/$name"
  echo "built $name in ${SECONDS} s since the start" >&2
done
echo "$bin"
