"""What those who operate a hub see of it. It reads, and decides nothing."""
