"""The pages: jobs, runs, task runs and notebooks, rendered on the server."""
