import pytest

for _module in ("langgraph_cases", "openai_cases", "proofs", "pydantic_ai_cases"):  # they assert as test modules do
    pytest.register_assert_rewrite(f"{__name__}.{_module}")
