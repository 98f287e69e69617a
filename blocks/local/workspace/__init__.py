"""A Databricks workspace on this machine: the Jobs API, an engine that runs notebooks, and pages.

``server.serve`` runs it; ``testing`` gives one to tests. ``api`` and ``pages`` answer requests,
``service`` and ``engine`` start and run runs, ``plan``, ``conditions``, ``launch``, ``repair`` and
``settings`` decide without doing anything, ``store`` keeps everything, ``notebook`` executes.
"""
