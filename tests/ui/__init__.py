"""The dashboard: its guard, its API, its timeline. In a browser: tests/browser."""
