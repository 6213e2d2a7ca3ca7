"""A worker that fetches actions over gRPC, runs their commands as local processes (no containers), and reports.

python worker.py ADDRESS WORKER [WORKFLOW]

ADDRESS is host:port of `--grpc-port`, WORKER the name of this worker in templates. With WORKFLOW it exits after its
actions of that workflow. In another language, generate the messages from workflow.proto in
server/fencepost/vocabularies/machines/grpc/proto.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from string import Template
from typing import Any

import grpc

from fencepost.vocabularies.machines.grpc.proto.workflow_pb2 import (
    STATE_FAILED,
    STATE_RUNNING,
    STATE_SUCCESS,
    STATE_TIMEOUT,
    WorkflowActionsRequest,
    WorkflowActionStatus,
    WorkflowContextRequest,
)
from fencepost.vocabularies.machines.grpc.proto.workflow_pb2_grpc import WorkflowServiceStub


def main(address: str, me: str, only: str | None) -> None:
    """Poll for workflows with a current action for this worker."""
    server = WorkflowServiceStub(grpc.insecure_channel(address))
    done = False
    while not done:
        try:
            for context in server.GetWorkflowContexts(WorkflowContextRequest(worker_id=me)):
                work(server, me, context)
                done = done or context.workflow_id == only
        except grpc.RpcError as error:
            print(f"{me}: {error.details()}; retrying", file=sys.stderr)
        time.sleep(0.2)


def work(server: Any, me: str, context: Any) -> None:
    """Run the actions of this worker, from the current one on."""
    actions = server.GetWorkflowActions(WorkflowActionsRequest(workflow_id=context.workflow_id)).action_list
    for action in actions[context.current_action_index :]:
        if action.worker_id != me:
            return
        report(server, context, action, STATE_RUNNING, 0)
        began = time.monotonic()
        state = run(action)
        report(server, context, action, state, int(time.monotonic() - began))
        if state != STATE_SUCCESS:
            return


def run(action: Any) -> int:
    """Run the command of an action, with its environment substituted for variables."""
    environment = dict(pair.split("=", 1) for pair in action.environment)
    command = [Template(word).safe_substitute(environment) for word in action.command]
    try:
        done = subprocess.run(command, env={**os.environ, **environment}, timeout=action.timeout or 3600, check=False)
    except subprocess.TimeoutExpired:
        return STATE_TIMEOUT
    return STATE_SUCCESS if done.returncode == 0 else STATE_FAILED


def report(server: Any, context: Any, action: Any, state: int, seconds: int) -> None:
    """Report until the server answers; reports are idempotent."""
    status = WorkflowActionStatus(
        workflow_id=context.workflow_id,
        task_name=action.task_name,
        action_name=action.name,
        action_status=state,
        seconds=seconds,
        worker_id=action.worker_id,
    )
    while True:
        try:
            server.ReportActionStatus(status)
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.FAILED_PRECONDITION:
                sys.exit(f"{error.details()}: nothing to be done any more")
            time.sleep(0.2)
        else:
            return


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else None)
