"""What MCP servers do as steps."""

from __future__ import annotations

import asyncio
import copy
import inspect
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, TypeVar

from agents.mcp import MCPServer, MCPToolMetaContext
from agents.tool_context import ToolContext
from mcp.types import CallToolResult, Tool

from .models import adapter
from .tools import Steps

T = TypeVar("T")

_call: ContextVar[str] = ContextVar("durable_fn.mcp_call", default="")
"""The id of the call that is about to be made."""


def durable_server(server: MCPServer, steps: Steps) -> MCPServer:
    """A twin of the server that connects for each step: a session must be left in the task that entered it, and bodies have tasks
    of their own. So calls of one server are made one after the other."""
    turn = asyncio.Lock()

    async def connected(do: Callable[[], Awaitable[T]]) -> T:
        async with turn:
            await server.connect()  # type: ignore[no-untyped-call]
            try:
                return await do()
            finally:
                await server.cleanup()  # type: ignore[no-untyped-call]

    async def record(name: str, key: str, of: Any, do: Callable[[], Awaitable[Any]]) -> Any:
        kind = adapter(of)

        async def body() -> Any:
            return kind.dump_python(await connected(do), mode="json", by_alias=True, exclude_unset=True)

        return kind.validate_python(await steps.run.step(name, key, body, steps.settings))

    async def list_tools(*args: Any, **kwargs: Any) -> list[Tool]:
        name = f"{steps.name}.{server.name}.tools"
        tools: list[Tool] = await record(
            name, steps.run.next(name), list[Tool], lambda: server.list_tools(*args, **kwargs)
        )
        return tools

    async def call_tool(tool_name: str, *args: Any, **kwargs: Any) -> CallToolResult:
        name = f"{steps.name}.{tool_name}"
        key = steps.key_of_call(name, _call.get())
        result: CallToolResult = await record(
            name, key, CallToolResult, lambda: server.call_tool(tool_name, *args, **kwargs)
        )
        return result

    async def meta(context: MCPToolMetaContext) -> dict[str, Any] | None:
        """Asked by the SDK just before a call: it knows the call."""
        if isinstance(context.run_context, ToolContext):
            _call.set(context.run_context.tool_call_id)
        found = None if server.tool_meta_resolver is None else server.tool_meta_resolver(context)
        return await found if inspect.isawaitable(found) else found

    twin = copy.copy(server)
    vars(twin).update(list_tools=list_tools, call_tool=call_tool, tool_meta_resolver=meta)
    return twin
