"""The agent of `ai_agent`, by Pydantic AI."""
