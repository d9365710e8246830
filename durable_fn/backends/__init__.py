"""Where journals live. Nothing here knows the fronts."""
