#!/usr/bin/env bash
# Produces the flow of group.json, follows its events to the end, and shows its status.
set -euo pipefail
URL=${URL:-http://127.0.0.1:8080}
cd "$(dirname "$0")"

rpc() { curl -sS "$URL/rpc" -H 'content-type: application/json' --data-binary "$1"; }

produced=$(rpc "{\"method\": \"awf.taskflow/produce\", \"params\": $(cat group.json)}")
id=$(sed -E 's/.*"taskflowId":"([^"]+)".*/\1/' <<<"$produced")
events=$(sed -E 's/.*"eventSubscription":"([^"]+)".*/\1/' <<<"$produced")

# Each event has the whole flow; this shows only the change. The stream ends with the flow.
curl -sSN --max-time 60 "$events" |
  sed -nE 's/^data: \{"eventType":"([A-Z]+)".*"(taskStatus|stageStatus|taskflowStatus)":"([A-Z_]+)".*"taskflowObject".*/\1 \3/p'

rpc "{\"method\": \"awf.taskflow/details\", \"params\": {\"taskflowId\": \"$id\"}}" | grep -o '"status":"COMPLETED"' | head -n 1
