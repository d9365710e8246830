"""The agent by LangGraph: a node for the model, one for each call of a tool."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Send

from durable_fn import AsyncDurableContext, durable
from durable_fn.ext.langgraph import run_graph

from . import task


class State(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]


def model(state: State) -> dict[str, Any]:
    turn = sum(isinstance(message, AIMessage) for message in state["messages"])
    calls = [{"name": "search", "args": {"question": question}, "id": id} for id, question in task.calls(turn)]
    usage = {"input_tokens": 900, "output_tokens": 150, "total_tokens": 1050}
    return {"messages": [AIMessage(task.answer(turn), id=f"m{turn}", tool_calls=calls, usage_metadata=usage)]}


class Call(TypedDict):
    id: str
    args: dict[str, Any]


def search(state: Call) -> dict[str, Any]:
    found = task.search(state["args"]["question"])
    return {"messages": [ToolMessage(found, id=f"r-{state['id']}", tool_call_id=state["id"])]}


def called(state: State) -> Any:
    last = state["messages"][-1]
    calls = last.tool_calls if isinstance(last, AIMessage) else []
    return [Send("search", call) for call in calls] or END


builder = StateGraph(State)
builder.add_node("model", model)
builder.add_node("search", search, input_schema=Call)
builder.add_edge(START, "model")
builder.add_conditional_edges("model", called, ["search", END])
builder.add_edge("search", "model")
graph = builder.compile(name="research")


@durable(name="langgraph")
async def handler(event: task.Event, ctx: AsyncDurableContext) -> str:
    start = {"messages": [HumanMessage("Why?", id="h")]}
    state = await run_graph(ctx, graph, start, config={"recursion_limit": 100})
    return str(state["messages"][-1].text)
