"""Vocabularies: ways to speak about the queue, each with documents, deciders, methods and routes of its own."""
