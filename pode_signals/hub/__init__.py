"""Connections and messages: Twisted's Deferreds and clock; no HTTP, no wire format."""
