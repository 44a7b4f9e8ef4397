"""Named, grouped, addressable WebSocket connections for Twisted: the Signals of Pode. Public names only, no logic."""
