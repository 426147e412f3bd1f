"""Everything that knows Celery: the app, the worker's side of a job, the coordinator's task, the beat.

An edge: it translates between Celery and the engine and decides nothing. `handlers` and `verdicts` are plain Python, so
that `from cordum import job, Retry, Fatal` costs no Celery. Nothing here talks to Redis but through the engine.
"""
