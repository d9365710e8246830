"""`async def` handlers: one line of the log at a time moves all their tasks."""
