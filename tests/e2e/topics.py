"""The topics of the reference workflow."""

TOPICS = ("job.sre.classify", "job.sre.logs", "job.sre.metrics", "job.sre.rollback")
