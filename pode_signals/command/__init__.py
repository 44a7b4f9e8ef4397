"""The command: from options and files to a service."""
