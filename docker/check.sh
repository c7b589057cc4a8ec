#!/usr/bin/env bash
# Runs the build steps of an image without an engine, in a clean folder: the COPY and RUN lines of all stages but the last,
# with only what .dockerignore lets through. docker/check.sh [api|worker] [more pip arguments by PIP_* variables]
# The API image's page is built with the Node.js of this machine.
set -euo pipefail
image="${1:-api}"
cd "$(dirname "$0")/.."
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
context="$folder/context" target="$folder/opt" source="$folder/src"
mkdir -p "$context"

while read -r entry; do
    cp -r "${entry#!}" "$context/"
done < <(grep '^!' .dockerignore)
while read -r entry; do
    rm -rf "${context:?}/$entry"
done < <(grep '^[a-z]' .dockerignore)
find "$context" -name __pycache__ -prune -exec rm -rf {} +

# The build stages with joined lines; their places become folders of ours, their arguments their defaults.
steps="$(sed -n '/^FROM .* AS /,/^FROM [^ ]*$/p' "docker/$image.Dockerfile" | sed -e ':a' -e '/\\$/N; s/\\\n//; ta' \
    | sed -e "s#/opt/voxelsmith#$target#g" -e "s#/src#$source#g" -e "s#/page#$folder/page#g")"
TORCH_INDEX="${TORCH_INDEX:-$(sed -n 's/^ARG TORCH_INDEX=//p' "docker/$image.Dockerfile")}"
export TORCH_INDEX PIP_DISABLE_PIP_VERSION_CHECK=1
cd "$context"
while read -r word rest; do
    case "$word" in
        COPY)
            read -r -a names <<<"${rest#--from=page }"
            last="${names[-1]}"
            [[ "$last" == */ ]] && mkdir -p "$last" || mkdir -p "$(dirname "$last")"
            cp -r "${names[@]:0:${#names[@]}-1}" "$last"
            ;;
        RUN)
            echo "+ $rest"
            bash -euc "$rest"
            ;;
    esac
done <<<"$steps"

cd /
echo "+ what was installed"
"$target/bin/python" - "$image" <<'END'
import importlib.util
import sys
from importlib.resources import files

import service.app
import workers.health_check
import workers.supervisor

assert "torch" not in sys.modules, "the front end and the supervisor must not import torch"
assert (importlib.util.find_spec("torch") is not None) == (sys.argv[1] == "worker")
assert (files("jobs") / "scripts" / "prelude.lua").is_file()
assert sys.argv[1] == "worker" or (files("service") / "static" / "index.html").is_file()
assert (files("model_store") / "demo" / "brain-demo-256" / "card.json").is_file()
if sys.argv[1] == "worker":
    import onnxruntime
    import workers.main
END
"$target/bin/voxelsmith" "$image" --help >"$folder/help"
grep -q "VOXELSMITH_REDIS_URL" "$folder/help"
echo "the $image image's steps work"
