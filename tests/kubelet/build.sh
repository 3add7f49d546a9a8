#!/usr/bin/env bash
# Builds what the node tests run: kubelet and containerd from source, and from Debian runc and a static busybox.
# Prints the folder of kubelet, then that of containerd.
set -euo pipefail
cd "$(dirname "$0")"

missing=()
command -v runc >/dev/null || missing+=(runc)
command -v busybox >/dev/null || missing+=(busybox-static)
if ((${#missing[@]})); then
  if ((EUID != 0)) || ! command -v apt-get >/dev/null; then
    echo "the node tests need ${missing[*]}: install them with your package manager, as root" >&2
    exit 1
  fi
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
fi
../cluster/build.sh "$PWD"
../cluster/build.sh "$PWD/containerd"
