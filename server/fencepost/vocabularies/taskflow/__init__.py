"""Taskflow: stages one after the other, the tasks of a stage side by side.

flow            what a producer sends, and what is wrong with it
plan            a flow with its ids, and what a retry keeps of the run before
placeholders    `{{stage.task.prop}}` in params
progress        from what the queue says of each task to the statuses of tasks, stages and flow
decider         what follows from that
record          the flow as its readers see it
replay          the events that its history was
retry           what a retry runs again, and what it keeps
"""
