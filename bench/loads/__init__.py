"""Loads beside the workers of queues: single calls, idle polls, a preloaded database."""
