"""`async def` handlers: all their tasks go on together, by one line of the log at a time."""
