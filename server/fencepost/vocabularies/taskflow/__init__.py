"""Taskflow: stages run one after the other, the tasks of a stage run side by side.

flow            the body of a produce call, and its checks
plan            a flow with the ids of its stages and tasks, and the tasks that a retry keeps
placeholders    `{{stage.task.prop}}` in params
progress        statuses of tasks, stages and flow, computed from the states of core tasks
decider         the next actions of a run
record          the flow as the API shows it
replay          the events of a flow, computed from its history
retry           the params of a retry
"""
