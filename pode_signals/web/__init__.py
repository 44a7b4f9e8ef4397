"""The HTTP side: from a request to an open connection, and the ports that requests come in by."""
