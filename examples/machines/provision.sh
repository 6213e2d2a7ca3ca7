#!/bin/bash
# Provisions one machine, as a workflow with the given id: the worker of the machine does two actions, that of a switch
# one. Needs a server with a gRPC port: fencepost serve --grpc-port 42113
set -euo pipefail
cd "$(dirname "$0")"
export FENCEPOST_URL=${FENCEPOST_URL:-http://127.0.0.1:8080}
machines=${MACHINES:-127.0.0.1:42113}

fencepost apply provision.yaml
id=${1:-rack-8}
fencepost workflow start example/provision --id "$id" \
  '{hardware: {machine: "52:54:00:12:34:56", switch: switch-1, disk: /dev/nvme0n1}}'
python worker.py "$machines" switch-1 "$id" &
python worker.py "$machines" 52:54:00:12:34:56 "$id"
wait
fencepost workflow show "$id"
