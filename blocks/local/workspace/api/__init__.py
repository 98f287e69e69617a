"""The REST API: routes, requests and answers."""
