"""Taskflow: flows and templates for those who produce, watch and retry them.

runs        reading: the newest run of a flow, its plan, and how it stands
flows       produce, details, list, cancel, retry
templates   flows that are kept, to be begun by name
events      the updates of a flow, as they happen
"""
