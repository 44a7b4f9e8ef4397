"""The ways to a client, a file each; each is complete without what exists only for speed."""
