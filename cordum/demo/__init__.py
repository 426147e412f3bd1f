"""The incident-triage demo: four workers that do real work on small real files. Nothing in cordum depends on it.

`analysis` decides (values in, values out, plus thin readers), `handlers` binds it to topics, `workspace` says where the
files are, `report` renders the finished run. `data/README.md` documents the files.
"""
