"""Schedules and timers: when functions of the user are due, and running them one at a time."""
