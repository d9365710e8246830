"""The shapes of Lambda events, and what is answered."""
