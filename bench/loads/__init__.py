"""Loads that are not queues' own workers: single calls, idle polls, a preloaded database."""
