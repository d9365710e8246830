"""Running durable functions on this machine, on the embedded journal."""
