"""The two contexts and their drivers."""
