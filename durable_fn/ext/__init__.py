"""What stands on the public API only: each part is an extra, and loaded when it is imported."""
