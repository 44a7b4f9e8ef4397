"""What nodes share by way of Redis. It is imported only where it is asked for: hiredis is an extra."""
