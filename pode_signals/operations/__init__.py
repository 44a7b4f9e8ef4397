"""Everything for those who operate a service. It sees what is public, and no more."""
