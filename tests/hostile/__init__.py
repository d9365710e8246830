"""Input that nobody should send, by the million: events, wake messages, tokens, ids, stored items, HTTP."""
