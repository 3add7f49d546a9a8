#!/usr/bin/env bash
# Builds the tools that a Go module names (this folder's go.mod, or the folder given) and prints the folder they are in.
# The first time takes some 20 minutes on two cores; afterwards the folder is found by the hash of go.mod and go.sum.
# Kept outside the clone: HAMI_CLUSTER_CACHE, else the user's cache folder.
set -euo pipefail
cd "${1:-$(dirname "$0")}"

command -v go >/dev/null || { echo "the cluster tests build Kubernetes from source: install Go 1.26 or newer" >&2; exit 1; }

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
  [[ -x $bin/$name ]] && continue
  echo "building $name" >&2
  # To a temporary name: a build cut short leaves nothing that looks finished.
  CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "$flags" -o "$bin/.$name.partial" "$tool"
  mv "$bin/.$name.partial" "$bin/$name"
done
echo "$bin"
