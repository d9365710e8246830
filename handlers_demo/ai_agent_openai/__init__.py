"""The agent of `ai_agent`, by the OpenAI Agents SDK."""
