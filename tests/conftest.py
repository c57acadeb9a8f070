"""Makes the helper modules beside this file (oracle, problems, ...) importable from every test."""
