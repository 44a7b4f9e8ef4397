"""Only for speed: nothing needs it, and every test of behaviour passes without this folder."""
