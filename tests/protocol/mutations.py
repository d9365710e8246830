"""Takes each rule of the protocol away, one at a time, and shows the test that notices.

    python -m tests.protocol.mutations [--likely] [--unseen] [NAME ...]

The likeliest tests go first; with `--likely` no others are asked. `--unseen`: only rules that no test is known to notice yet. Works on a copy of the tree. The test that noticed is kept in
noticed_by.json and is the first to be asked the next time. Exits with 1 if a rule can go without a test failing, or if a mutation
no longer applies.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

from tests.protocol.likely import likely

ROOT: Final = Path(__file__).resolve().parents[2]
NOTICED_BY: Final = Path(__file__).with_name("noticed_by.json")
_ONLY_LIKELY: Final = "--likely"
_ONLY_UNSEEN: Final = "--unseen"
_OF_THIS_TABLE: Final = "tests/protocol/test_mutations.py"
"""Sees each mutation, and says nothing about the rules."""
_NOTHING_THERE: Final = 4  # what pytest ends with where a test that is named is not found
TESTS: Final = [
    [
        "tests/client/test_signalling.py",
        "tests/fronts/test_shielded.py",
        "tests/client/test_id_rules.py",
        "tests/fronts/test_keys_of_clean_up.py",
    ],
    [
        "tests/fronts/test_unwound_code.py",
        "tests/fronts/test_signals_and_threads.py",
        "tests/fronts/test_left_at_the_end.py",
        "tests/fronts/test_native_cancellations.py",
        "tests/fronts/test_changed_code.py",
        "tests/fronts/test_redriven_handlers.py",
        "tests/fronts/test_what_others_read.py",
        "tests/fronts/test_decisions_by_time.py",
        "tests/fronts/test_beside_a_suspension.py",
        "tests/fronts/test_straight_replays.py",
    ],
    ["tests/client/test_called_ids.py"],
    ["tests/fronts/test_generations.py"],
    [
        "tests/protocol/test_terminations.py",
        "tests/protocol/test_rules.py",
        "tests/protocol/test_interruptions.py",
        "tests/fronts/test_lines.py",
    ],
    ["tests/backends/test_sqlite.py", "tests/backends/test_dynamodb.py"],
    ["tests/client/test_redriven_sagas.py", "tests/client/test_causes.py"],
    ["tests/protocol/test_retention.py", "tests/client/test_steering.py", "tests/client/test_redrive.py"],
    [
        "tests/client/test_sweeper.py",
        "tests/backends/test_outages.py",
        "tests/client/test_call_depth.py",
        "tests/triggers/test_direct.py",
    ],
    ["tests/backends/test_cloud.py", "tests/backends/test_wakeups.py"],
    ["tests/cli/test_acts.py", "tests/cli/test_looks.py", "tests/cli/test_check.py"],
    ["tests/corpus"],
    ["tests/protocol", "tests/backends", "tests/fronts", "tests/client/test_client.py"],
]
"""One after the other, the quickest first, until one fails."""
OWN_TESTS: Final = {
    "ui/": [["tests/ui"]],
    "local/": [["tests/local"]],
    "ext/": [["tests/ext/agents/test_keys.py"], ["tests/ext/agents"]],
}
"""Of folders that nothing else tests."""
_THE_CONTRACT: Final = [
    ["tests/backends/test_sqlite.py", "tests/backends/test_dynamodb.py"],
    ["tests/protocol/test_rules.py", "tests/protocol/test_interruptions.py", "tests/client/test_client.py"],
    ["tests/protocol"],
    ["tests/backends"],
]
NEAREST: Final = {
    "backends/": _THE_CONTRACT,
    "log/header.py": _THE_CONTRACT,
    "client/": [["tests/client"]],
    "cli/": [["tests/cli"]],
    "log/": [["tests/fronts/test_generations.py", "tests/client"], ["tests/fronts"]],
    "sweeper.py": [["tests/client/test_sweeper.py"]],
    "runtime/": [["tests/fronts"]],
    "core/": [["tests/fronts"]],
}
"""Of other files and folders: these are asked before the rest."""
HEADER = "log/header.py"
SQLITE, ROWS = "backends/sqlite/store.py", "backends/sqlite/rows.py"
DYNAMO, TRANSITIONS = "backends/aws/dynamodb.py", "backends/aws/transitions.py"
CONSEQUENCES, REDRIVE = "log/consequences.py", "log/redrive.py"
INVOCATION, SETTLEMENT, SESSION, STEP = (
    "runtime/invocation.py",
    "runtime/outcome.py",
    "runtime/session.py",
    "core/operations/step.py",
)


class Mutation(NamedTuple):
    name: str
    file: str
    old: str
    new: str


RUNS, PYDANTIC, OPENAI, LANGGRAPH = "ext/agent_runs.py", "ext/pydantic_ai/", "ext/openai_agents/", "ext/langgraph/"
MUTATIONS: Final = [
    Mutation("agents: a call that comes again has the key that it had", RUNS, 'return key if times == 1 else f"{key}.{times}"', "return key"),
    Mutation("agents: runs are counted over all branches", RUNS, "numbers = _NUMBERS.setdefault(ctx, Counter())\n    numbers[ctx.branch, agent] += 1\n    return Run(ctx, str(numbers[ctx.branch, agent]))", 'numbers = _NUMBERS.setdefault(ctx, Counter())\n    numbers["", agent] += 1\n    return Run(ctx, str(numbers["", agent]))'),
    Mutation("agents: an adapter is made after the answer (Pydantic AI)", PYDANTIC + "backend.py", "operation.result_codec.load(_NOTHING)", "pass"),
    Mutation("agents: a tool that is handler code is no branch (Pydantic AI)", PYDANTIC + "capability.py", "is not False or not self.in_durable_context", "is not False or True"),
    Mutation("agents: errors of the framework lose their class (Pydantic AI)", PYDANTIC + "capability.py", "raises=(AgentRunError, UserError)", "raises=()"),
    Mutation("agents: a plain def of a user runs in a thread (Pydantic AI)", PYDANTIC + "capability.py", "with in_place(), event_scope", "with event_scope"),
    Mutation("agents: a plain def in a step runs in place (Pydantic AI)", PYDANTIC + "threads.py", "_disable_threads.set(False)", "pass"),
    Mutation("agents: what a tool adds to the usage is lost in a replay (Pydantic AI)", PYDANTIC + "usage.py", "ctx.usage.incr(_KIND.validate_python(recorded[_KEY]))", "pass"),
    Mutation("agents: what a tool adds to the usage counts twice (Pydantic AI)", PYDANTIC + "usage.py", "before, ctx.usage = copy.deepcopy(shared), copy.deepcopy(shared)", "before = copy.deepcopy(shared)"),
    Mutation("agents: a message has the machine's time (Pydantic AI)", PYDANTIC + "timestamps.py", "newest.timestamp = now", "pass"),
    Mutation("agents: the newest message of a run has the machine's time (Pydantic AI)", PYDANTIC + "capability.py", "stamp(result.all_messages(), ctx.run_id, durable.now())", "pass"),
    Mutation("agents: a run of the SDK's own runner is not durable (OpenAI)", OPENAI + "runner.py", "None if is_copy(agent) else", "None if is_copy(agent) or _settings.get() is None else"),
    Mutation("agents: errors of the provider lose their class (OpenAI)", OPENAI + "runner.py", "raises=(AgentsException, OpenAIError)", "raises=(AgentsException,)"),
    Mutation("agents: a tool's error is a text before it is tried again (OpenAI)", OPENAI + "tools.py", 'getattr(invoker, "_invoke_tool_impl", invoker)', "invoker"),
    Mutation("agents: any answer approves (OpenAI)", OPENAI + "approvals.py", 'if said is True or said == "true":', "if said:"),
    Mutation("agents: a replay is traced (OpenAI)", OPENAI + "graph.py", "config.tracing_disabled or steps.run.ctx.is_replaying", "config.tracing_disabled"),
    Mutation("agents: an agent that is a tool is a step (OpenAI)", OPENAI + "tools.py", "if tool._is_agent_tool:", "if False:"),
    Mutation("agents: two who write at once have one place (OpenAI)", OPENAI + "dynamodb_session.py", 'f"{after:012d}#{by}"', 'f"{after:012d}#"'),
    Mutation("agents: a node changes the state that it was given (LangGraph)", LANGGRAPH + "nodes.py", "state = copy.deepcopy(input)", "state = input"),
    Mutation("agents: an attempt counts questions of the one before (LangGraph)", LANGGRAPH + "nodes.py", "interrupt_counter=questions", "interrupt_counter=pad.interrupt_counter"),
    Mutation("agents: a routing function runs in a thread (LangGraph)", LANGGRAPH + "nodes.py", 'if getattr(self._path, "func", None) is None:', "if True:"),
    Mutation("agents: a message has another id in each replay (LangGraph)", LANGGRAPH + "graphs.py", '"channels": channels, ', ""),
    Mutation("agents: what is said twice is one message (LangGraph)", LANGGRAPH + "messages.py", "taken.add(named[-1].id)", "pass"),
    Mutation("agents: any class is made of what is recorded (LangGraph)", LANGGRAPH + "outcomes.py", "allowed_msgpack_modules=allowed", "allowed_msgpack_modules=True"),
    Mutation("agents: a class that would not come back is recorded (LangGraph)", LANGGRAPH + "outcomes.py", "loads_typed((kind, data))) != (kind, data):", "loads_typed((kind, data))) == ():"),
    Mutation("a signal's mark is not put (DynamoDB)", DYNAMO, ", now)}] if once else []", ", now)}] if False else []"),
    Mutation("a signal's mark is not looked at (SQLite)", SQLITE, "if marked is not None and marked != entry.writer:", "if False:"),
    Mutation("a mark outlasts its time (SQLite)", ROWS, "AND mark = ? AND until > ?", "AND mark = ? AND until > ? - 86400000"),
    Mutation("a mark outlasts its time (DynamoDB)", "backends/aws/table.py", "attribute_not_exists(pk) OR #ttl <= :now", "attribute_not_exists(pk)"),
    Mutation("marks are read along", "backends/aws/table.py", "pk = :pk AND sk < :marks", "pk = :pk AND sk <> :marks"),
    Mutation("a body that is tried again sends anew", "core/current.py", "f\"step {self._key} {next(count)}\"",
             "f\"step {self._key} {self._attempt} {next(count)}\""),
    Mutation("each signal of a body is the first", "core/current.py", "f\"step {self._key} {next(count)}\"", "f\"step {self._key} {bool(next(count))}\""),
    Mutation("a handler's signal after a death is another one", "core/operations/posts.py",
             "op.turn.derive(f'signal {op.id} {again}' + ' cleaning up' * op.cleans_up).hex()", "id(op)"),
    Mutation("a handler's signal after a redrive is the same", "log/redrive.py",
             "elif event.kind == POST and event.status == SUCCEEDED:", "elif False:"),
    Mutation("that a target had ended may be revoked", "core/operations/posts.py", "yield Settle(event, durable=not taken)", "yield Settle(event)"),
    Mutation("any of several signals goes by name", "log/inbox.py", "return self.take(min(there)[1]) if there", "return self.take(there[0][1]) if there"),
    Mutation("a typed signal is not checked where it is sent", "core/signal.py", "if not isinstance(signal, Signal):\n        return to_plain",
             "if True:\n        return to_plain"),
    Mutation("a shielded block does not reach into its branches", "core/cancel_scope.py", "        if self.shields:\n            return\n", ""),
    Mutation("a shielded branch that lost is walked again and again", "runtime/threads/driver.py", "told=cancel_scope.shields > 0)", "told=False)"),
    Mutation("a def block does not raise at its end", "core/operations/shields.py", "if not (scope.cancel_scope.cancel_pending and scope.live):", "if True:"),
    Mutation("a def block raises what came behind it", "core/operations/shields.py", "cancel_pending and scope.live)", "cancel_pending)"),
    Mutation("an async block does not raise at its end", "runtime/aio/context.py", "        await pump.end.let_come(ops.block_id(scope))\n", ""),
    Mutation("a replayed async block does not wait for its end", "runtime/aio/ending.py", "json.loads(line.value)[3:]", "[]"),
    Mutation("who waits at a block's end waits for ever", "runtime/aio/ending.py", "                future.set_result(None)\n", "                pass\n"),
    Mutation("a start by name makes an id of its own", "client/starts.py", "ruled_id(backend, fn, function, input) or new_id()", "new_id()"),
    Mutation("tasks stand in sets by their addresses", "runtime/aio/loop.py",
             "    def __hash__(self) -> int:\n        return self.number\n\n\nclass HandlerFuture", "\n\nclass HandlerFuture"),
    Mutation("a result is handed out before it is durable", "runtime/aio/delivery.py",
             "if event.id in line.held and not self.commits.covers(event):", "if False:"),
    Mutation("a timer counts from the present though the log goes on", "runtime/aio/outside.py", "if not pump.line.goes_on:", "if True:"),
    Mutation("a suspension does not say when timers end", "runtime/aio/pump.py", "            if not timer.written:\n", "            if False:\n"),
    Mutation("a body begins on a decision that a death can revoke (async def)", "runtime/aio/pump.py",
             "        if not self._is_decided():\n            return self.commits.flush()\n        if self.session", "        if self.session"),
    Mutation("a line that nobody asks for is passed over", "runtime/aio/delivery.py",
             "        raise self.mismatches.unasked(event)\n", "        return False\n"),
    Mutation("a marker that nobody asks for is passed over", "runtime/aio/pump.py", "            self.mismatches.check_called()\n", "            pass\n"),
    Mutation("a body begins while another one unwinds", "runtime/aio/bodies.py", "        if self._unwinding:\n            return False\n", ""),
    Mutation("a cancellation that was swallowed is gone", "runtime/aio/native.py",
             'if self.cancellation is not None and not getattr(self.task, "_must_cancel", False):', "if False:"),
    Mutation("a wait that was left is over in a replay", "core/operations/callbacks.py",
             "        yield from until(turn, turn.time())\n", "        pass\n"),
    Mutation("a line is handed out at once though other tasks can run", "runtime/aio/delivery.py", " or self.ready or self._foreign or ", " or "),
    Mutation("values are read as a part of the handler", "runtime/aio/delivery.py", "self._apart.run(self._hand_out, head)",
             "self._hand_out(head)"),
    Mutation("an async generator is collected as a part of the handler", "runtime/aio/loop.py",
             "super().call_soon_threadsafe(self._close_generator, agen, over, context=self.engine)",
             "self.call_soon(self.create_task, agen.aclose())"),
    Mutation("a body begins on a time that a death can change (async def)", "runtime/aio/pump.py",
             "            self.decided = last\n", "            pass\n"),
    Mutation("a body begins on a time that a death can change (def)", "core/turn.py",
             "            self.chosen.update(event for event in unwritten if event.status not in (BEGUN, RETRY))\n", "            pass\n"),
    Mutation("asking the loop for the time does not count", "runtime/aio/loop.py", "if not is_asyncio(sys._getframe(1)):", "if False:"),
    Mutation("which call in a thread was first may be revoked", "runtime/aio/delivery.py", "self.bodies.waiting or self.threads\n", "self.bodies.waiting\n"),
    Mutation("a time that is not on record is taken for one", "runtime/aio/operation.py",
             "return record is not None and any(e is not None and e.due == due for e in (record.begun, record.retry))", "return True"),
    Mutation("a body whose marker is written is put off", "runtime/aio/bodies.py",
             " and not (isinstance(effect, Call) and effect.begun)\n", "\n"),
    Mutation("a status that a death lost stays lost", "runtime/aio/delivery.py", "            self.turn.say_again()\n", "            pass\n"),
    Mutation("a child ends by what a suspension unwinds (async def)", "runtime/aio/operation.py",
             "if pump.over or pump.turn.closed is not None:  # even", "if False:  # even"),
    Mutation("a child ends by what a suspension unwinds (def)", "runtime/threads/driver.py",
             "if cancel_scope.leaving and closed is not None:", "if False:"),
    Mutation("a branch ends by what a suspension unwinds (def)", "runtime/threads/fan.py", "cancel_scope.leaving or error is", "error is"),
    Mutation("a saga is not undone where the turn ends beside it", "runtime/context.py",
             "        if error is None or ", "        if error is None or self._context._turn.closed is not None or "),
    Mutation("compensations end with what cancels them", "runtime/aio/context.py", "await in_full(self._run(undo))", "await self._run(undo)"),
    Mutation("a child that kept a cancellation loses it on a replay", "runtime/aio/operation.py",
             "if pump.over or not _kept_a_cancellation(effect.record):", "if True:"),
    Mutation("a def child's cancellation is raised again behind it", "core/operations/fans.py",
             "            _keep_cancellation(op)\n", "            pass\n"),
    Mutation("a cancellation that asyncio eats is gone", "runtime/aio/native.py",
             "if self._thrown is not None and self._was_eaten(self._thrown):", "if False:"),
    Mutation("a cancellation is thrown again while a group holds it", "runtime/aio/native.py",
             "return not any(frame is caught for frame in _frames(self.inner))", "return True"),
    Mutation("a decision stands whatever came to another branch", SESSION,
             "if turn.inbox.version is not decision.version:", "if False:"),
    Mutation("bodies share the threads of the journal", "runtime/aio/loop.py",
             "        return super().run_in_executor(self._journal, fn)\n", "        return super().run_in_executor(None, fn)\n"),
    Mutation("a body's time counts while it waits for a thread", "runtime/aio/bodies.py", "not effect.is_async and self._threads >= self._most_threads", "False"),
    Mutation("an execution ends while a body unwinds", "runtime/aio/pump.py",
             "if unwinding and self.session.time_left() > LEAST_TIME:", "if False:"),
    Mutation("patched does not look at native tasks behind it", "core/scope.py",
             "            return not journal.has_uncalled()\n", "            return not journal.has_from(self.path, self.operations)\n"),
    Mutation("a key that comes or goes runs a body twice", "runtime/aio/mismatches.py", "        self._check_twins()\n", ""),
    Mutation("a stuck handler stays stuck", "log/consequences.py", "        return event.id == STUCK_ID\n", "        return False\n"),
    Mutation("tasks keep what a cancellation made them do", "log/consequences.py", "unwound = _unwound(log, cuts) | _ended(log, cuts)", "unwound = _unwound(log, cuts)"),
    Mutation("wait_for takes a task's number", "runtime/aio/loop.py", "return frame.f_locals.get(\"fut\") is coro", "return False and coro"),
    Mutation("a branch is walked again and again for what is known inside", "runtime/threads/fan.py",
             "ends = branch.cancel_scope.cancel_pending and not parked.told", "ends = branch.cancel_scope.cancel_pending"),
    Mutation("branches that waited go on one by one", "runtime/threads/fan.py", "if not self.awake and self.running", "if self.running"),
    Mutation("a segment is put over another (DynamoDB)", DYNAMO,
             "self.table.put_new(from_segment(header, segment))", "self.table.put(from_segment(header, segment))"),
    Mutation("a segment is put over another (SQLite)", ROWS,
             '(?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"', '(?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET body = excluded.body"'),
    Mutation("acquire ignores the lease (SQLite)", HEADER, "if header.lease >= lease.now:", "if False:"),
    Mutation("acquire ignores the lease (DynamoDB)", TRANSITIONS, '"lease < :now AND (due', '"(due'),
    Mutation("acquire ignores the status (SQLite)", HEADER,
             'if not header.live:\n        return Refusal("finished", header)\n    if header.lease >= lease.now', "if header.lease >= lease.now"),
    Mutation("acquire ignores the status (DynamoDB)", TRANSITIONS, 'condition = _LIVE & Condition(\n        "lease', 'condition = Condition(\n        "lease'),
    Mutation("a message is taken for the time (SQLite)", HEADER, "if not header.reached(lease.now):", "if False:"),
    Mutation("a message is taken for the time (DynamoDB)", TRANSITIONS,
             '"lease < :now AND (due <= :now OR (tries > :zero AND hint <= :now))"', '"lease < :now"'),
    Mutation("a message of the sweeper comes too early (SQLite)", HEADER, "return woken or (", "return ("),
    Mutation("a message of the sweeper comes too early (DynamoDB)", TRANSITIONS,
             "(due <= :now OR (tries > :zero AND hint <= :now))", "due <= :now"),
    Mutation("acquire loses due", HEADER, '        status="RUNNING",\n', '        status="RUNNING",\n        due=None,\n'),
    Mutation("acquire keeps no previous lease", TRANSITIONS, '.copy("prev_lease", "lease")', ""),
    Mutation("suspend and complete without owner (SQLite)", HEADER,
             "header is None or header.key != key or header.own != writer or not header.live",
             "header is None or header.key != key or not header.live"),
    Mutation("suspend and complete without owner (DynamoDB)", TRANSITIONS, 'Condition("own = :own", {":own": text(writer)}) & _LIVE', "_LIVE"),
    Mutation("suspend and complete of another run", HEADER,
             "header is None or header.key != key or header.own != writer or not header.live",
             "header is None or header.own != writer or not header.live"),
    Mutation("suspend without the inbox condition (SQLite)", HEADER,
             "if parking.seen is not None and header.n != parking.seen:", "if False:"),
    Mutation("suspend without the inbox condition (DynamoDB)", TRANSITIONS, "condition &= _seen(parking.seen)", "pass"),
    Mutation("suspend loses due", HEADER, "        due=parking.due,\n", "        due=None,\n"),
    Mutation("complete without the cancel condition (DynamoDB)", TRANSITIONS, "if not ending.cancel_seen:", "if False:"),
    Mutation("an end overlooks who began to wait (DynamoDB)", TRANSITIONS,
             "condition = _owned(header.key, writer) & _waited_for_by(header.parent)", "condition = _owned(header.key, writer)"),
    Mutation("an end overlooks who began to wait (SQLite)", HEADER,
             'return Refusal("cancelled", header)\n    if header.parent != parent:', 'return Refusal("cancelled", header)\n    if False:'),
    Mutation("two may begin to wait for one", HEADER, 'return replace(header, parent=parent) if header.parent == seen else', 'return replace(header, parent=parent) if True else'),
    Mutation("seen is taken from the counter", SETTLEMENT, "seen = turn.seen if due", "seen = turn.header.n if due"),
    Mutation("an incomplete inbox is good enough", INVOCATION, "return missing <= 0 or ", "return True or "),
    Mutation("no fence after a takeover", INVOCATION, "                    session.fence(dead=dead)\n", ""),
    Mutation("no look at the clocks before a body (def)", "runtime/threads/driver.py", "        raise _cancellation(op)\n    session.look_at_lease()\n", "        raise _cancellation(op)\n"),
    Mutation("no look at the clocks before a body (async def)", SESSION,
             "        self._check_lease(elapsed)\n        return begun", "        return begun"),
    Mutation("no look at the clocks before an append", SESSION, "        self.look_at_lease()\n        header", "        header"),
    Mutation("at most once without a marker", STEP, "            op.turn.record(op, BEGUN, attempt)\n            yield COMMIT\n", ""),
    Mutation("the marker is written after the body", STEP, "            op.turn.record(op, BEGUN, attempt)\n            yield COMMIT\n",
             "            op.turn.record(op, BEGUN, attempt)\n"),
    Mutation("the request id is the writer", INVOCATION, "with_version(secrets.token_hex(6),", "with_version(str(context.aws_request_id),"),
    Mutation("acquire does not know itself", HEADER, "if header.own == lease.writer and header.lease:", "if False:"),
    Mutation("suspend does not know itself", HEADER, "        return header  # my own earlier success\n    if parking", '        return Refusal("fenced", header)\n    if parking'),
    Mutation("complete does not know itself", HEADER,
             "if header is not None and header.key == key and header.own == writer and header.status == ending.status:", "if False:"),
    Mutation("append does not know itself (DynamoDB)", DYNAMO, "return there is None or _is_of(segment, there)", "return there is None"),
    Mutation("start does not know itself (DynamoDB)", DYNAMO, "if there.run == header.run else", "if False else"),
    Mutation("deliver does not know itself", DYNAMO, "if there.writer != entry.writer and there.digest != entry.digest:", "if True:"),
    Mutation("a bump without due (SQLite)", HEADER, "replace(header, n=header.n + 1, gone=gone, due=now, timer", "replace(header, n=header.n + 1, gone=gone, timer"),
    Mutation("a bump without due (DynamoDB)", TRANSITIONS, 'Change().add("n", 1).number("due", now)', 'Change().add("n", 1)'),
    Mutation("an entry is put over another (DynamoDB)", DYNAMO,
             '{"Put": new(from_entry(header, entry))}, bump.part', '{"Put": {"Item": from_entry(header, entry)}}, bump.part'),
    Mutation("an unconditional start (DynamoDB)", DYNAMO,
             "self.table.put_new(from_header(header, self.shards))", "self.table.put(from_header(header, self.shards))"),
    Mutation("an unconditional start (SQLite)", SQLITE, 'return old if old.run == header.run else Refusal("held", old)', "return header"),
    Mutation("the input is not compared", "runtime/executions.py", "if is_same(there, wanted.sent):", "if True:"),
    Mutation("the function is not compared", "runtime/executions.py", "if there.fn != wanted.fn:", "if False:"),
    Mutation("a hint for every turn", "runtime/wakes.py", "if already == header.due and header.due > now:", "if False:"),
    Mutation("once per due time without reading the clock", "runtime/wakes.py", "if already == header.due and header.due > now:", "if already == header.due:"),
    Mutation("the hint is sent before the state", SETTLEMENT,
             "        reply = self._store.suspend(turn.header, turn.writer, parking)\n        if isinstance(reply, Refusal)",
             "        self._backend.wakeups.send(Wake(turn.header.id, turn.header.run, turn.header.fn, outcome.due or 0), 0)\n"
             "        reply = self._store.suspend(turn.header, turn.writer, parking)\n        if isinstance(reply, Refusal)"),
    Mutation("the sweeper sends nothing", "sweeper.py", "self.backend.wakeups.send_all(hints)", "[]"),
    Mutation("the sweeper does not claim", HEADER, "    return replace(header, due=due, hint=now, timer=None, tries=header.tries + 1)", "    return header"),
    Mutation("the sweeper does not back off", "sweeper.py", "pause_ms(SWEEP_MS, there.tries)", "SWEEP_MS"),
    Mutation("the sweeper says that what it cannot send was sent", "sweeper.py", "        self.report.failed += len(failed)\n", ""),
    Mutation("shards are swept in one order", "sweeper.py", "    random.shuffle(shards)\n", ""),
    Mutation("the sweeper does not look at the time", "sweeper.py", "        if sweeping.late():", "        if False:"),
    Mutation("the sweeper sees the first page only", "sweeper.py", "            last = rows[-1]\n", "            return\n"),
    Mutation("a status of another version is taken for a stale index", "sweeper.py", "        if there.status not in LIVE:", "        if False:"),
    Mutation("a suspend that is held begins the tries anew (SQLite)", HEADER, "tries=header.tries if parking.strikes else 0,", "tries=0,"),
    Mutation("a suspend that is held begins the tries anew (DynamoDB)", TRANSITIONS, "    if not parking.strikes:\n", "    if True:\n"),
    Mutation("a segment does not begin the tries anew", SESSION, "        self.turn.made(Progress.WORKED)\n        self._progressed()\n\n    def", "        self.turn.made(Progress.WORKED)\n\n    def"),
    Mutation("an owner that could not write keeps its lease", INVOCATION, "            self._give_back(cause)\n", ""),
    Mutation("a process that dies gives its lease back", INVOCATION, "except (Exception, Outage) as error:", "except BaseException as error:"),
    Mutation("who follows an outage does not fence", INVOCATION, "self._fenced = not (dead or header.doubtful)", "self._fenced = not dead"),
    Mutation("an outage counts as a death", INVOCATION, "session.fence(dead=dead)", "session.fence()"),
    Mutation("an outage does not back off", INVOCATION, "pause_ms(OUTAGE_MS, header.tries)", "OUTAGE_MS"),
    Mutation("a bucket that refuses is an outage", SESSION, "        except BlobRefused:\n            raise  # nothing", "        except ZeroDivisionError:\n            raise  # nothing"),
    Mutation("a lease lasts as long as the emulator says", "runtime/lambda_time.py", "own if isinstance(own, int) else MOST_MS)", "int(left))"),
    Mutation("a forged message is passed on", "triggers/queue.py", "not header.live or not _is_awaited(header, hint)", "not header.live"),
    Mutation("calls have no limit", "runtime/calls.py", "    if depth <= limit:", "    if True:"),
    Mutation("a circle of calls is not seen", "runtime/calls.py", "            _check_circle(backend, there)\n", "            pass\n"),
    Mutation("an unknown function is started", "client/starts.py", "        if backend.store.head(wanted.id) is None:\n            raise\n", "        pass\n"),
    Mutation("an unknown function is called", "runtime/calls.py", "    backend.wakeups.check(asked.fn, given=asked.retention_ms is not None)\n", ""),
    Mutation("a replaced queue is not looked for", "backends/aws/wakeups.py", "now = self._queues.elsewhere(fn, queue) if may_be_replaced(error.__cause__) else None", "now = None"),
    Mutation("a heartbeat is one entry more", DYNAMO, "for put, instead in ((over(item), True), (new(item), False)):", "for put, instead in (({'Item': item}, False),):"),
    Mutation("the sweeper trusts a stale index", TRANSITIONS,
             'Condition("due = :seen AND lease < :now", {":seen": number(seen_due), ":now"', 'Condition("lease < :now", {":now"'),
    Mutation("the sweeper ignores a held lease", TRANSITIONS,
             'Condition("due = :seen AND lease < :now", {":seen": number(seen_due), ":now": number(now)})',
             'Condition("due = :seen", {":seen": number(seen_due)})'),
    Mutation("the sweeper revives what is finished", HEADER,
             '        return Refusal("finished", header)\n    if header.due == due and header.hint == now:', "        pass\n    if False:"),
    Mutation("no stall limit", INVOCATION, "if dead and turn.journal.fences >= STALL_LIMIT:", "if False:"),
    Mutation("a turn that has done nothing yields", SESSION, "        if self.turn.progress is not Progress.WORKED:\n            return False\n", ""),
    Mutation("a stale owner's segment is not read again", INVOCATION, "                    continue  # the stale", "                    pass  # the stale"),
    Mutation("an interrupted attempt runs again", STEP,
             "if op.record is not None and op.record.begun is not None and op.record.begun.attempt == attempt:", "if False:"),
    Mutation("a direct start is not due", INVOCATION, "        wanted.due = lease.end + 1\n", "        wanted.due = None\n"),
    Mutation("a direct start has no lease", INVOCATION, "wanted.own, wanted.lease, wanted.turns = \"RUNNING\", lease.writer, lease.end, 1",
             "wanted.own, wanted.lease, wanted.turns = \"RUNNING\", lease.writer, 0, 1"),
    Mutation("a timeout over a completion (DynamoDB)", DYNAMO,
             '{"Put": new(from_entry(header, entry))}, count.part', '{"Put": {"Item": from_entry(header, entry)}}, count.part'),
    Mutation("a timeout without owner (DynamoDB)", TRANSITIONS, "    condition = _owned(header.key, writer)\n    if seen", "    condition = _LIVE\n    if seen"),
    Mutation("a decision over something unseen (SQLite)", HEADER, 'return header if header.n == seen else Refusal("moved", header)', "return header"),
    Mutation("a decision over something unseen (DynamoDB)", TRANSITIONS,
             "_owned(header.key, writer) & _seen(seen), None", "_owned(header.key, writer), None"),
    Mutation("a cancellation is raised before it is recorded", "core/cancellation.py", "yield Settle(event, durable=True)", "yield Settle(event)"),
    Mutation("a fan over an unseen signal goes on as new", HEADER, "    if header.n != renewal.seen:", "    if False:"),
    Mutation("a parent is not told", SETTLEMENT, "        note = _note(turn.header, turn.writer, ending)\n", "        note = None\n"),
    Mutation("a child insists on a live parent", DYNAMO, "if failure.failed[0] else self._make(transition)", 'if failure.failed[0] else Refusal("fenced", None)'),
    Mutation("a child is marked before its header", "core/operations/calls.py",
             "            child, outcome = yield from _begin(op, target, child, earlier)\n            turn.record(op, BEGUN, due=due or 0, value=child)\n",
             "            turn.record(op, BEGUN, due=due or 0, value=child)\n            from ..effects import COMMIT\n            yield COMMIT\n            child, outcome = yield from _begin(op, target, child, earlier)\n"),
    Mutation("who was first in a fan is decided again after a death", "core/operations/fans.py", "durable=fan.early", "durable=False"),
    Mutation("a long life copies nothing", SETTLEMENT, "        if keep_at(turn.log_horizon) > now:\n", "        if True:\n"),
    Mutation("an old stamp is not looked for", "core/turn.py",
             "keep_at(min([self.log_horizon, *(e.horizon for e in self.inbox.entries.values() if e.horizon)]))", "keep_at(self.log_horizon)"),
    Mutation("a copy has a counted name", SETTLEMENT, "snapshot = Snapshot(secrets.token_hex(4), ", 'snapshot = Snapshot("copy", '),
    Mutation("a copy does not stand for the log", "backends/aws/reading.py", "if segment.seq >= header.copied]", "if True]"),
    Mutation("what the log names does not count", "log/inbox.py", "    return len(entries) + sum(key not in entries for key in used)", "    return len(entries)"),
    Mutation("an older generation's entries are read", "log/inbox.py", "return kind not in _OF_A_GENERATION or rest", "return True or rest"),
    Mutation("a generation over a death forgets what it consumed", DYNAMO,
             "self.table.transact(transition.part, begin, *consumed)", "self.table.transact(transition.part, begin)"),
    Mutation("a stale owner deletes what others have not read", DYNAMO,
             "self.table.transact(transition.part, begin, *consumed)",
             "[self.table.transact(part) for part in consumed]; self.table.transact(transition.part, begin)"),
    Mutation("a stale owner deletes many that others have not read", DYNAMO,
             "self.table.transact(look.part, *consumed[: _MOST_PARTS - 1])", "self.table.transact(*consumed[: _MOST_PARTS - 1])"),
    Mutation("what was undone counts as done", CONSEQUENCES, "        queue = [Cause(saga.id) for saga in touched", "        queue = [Cause(saga.id) for saga in [] and touched"),
    Mutation("a step is named inside a saga that was undone", REDRIVE, "    undone = [saga.places for saga in sagas(events)]\n", "    undone: list[frozenset[int]] = []\n"),
    Mutation("a compensation acts before the log knows of the rollback", "core/turn.py", "            event = saga.line(self.time())\n            self.pending.append(event)\n        self.drew(event)", "            event = saga.line(self.time())\n            self.pending.append(event)"),
    Mutation("an error does not say which sagas it undid", "core/turn.py", "        origins.mark_undone(self, error, saga.id)\n", ""),
    Mutation("a saga does not hold its native tasks", "log/undone.py", "        return begun.tasks < int(head[1:]) <= ended.tasks", "        return False"),
    Mutation("a saga does not hold what has a key", "log/undone.py", "    return id in saga.keys + saga.undo_keys if", "    return False if"),
    Mutation("a failed compensation is forgotten with its saga", CONSEQUENCES, "    if not mine or not again or min(mine) < min(again):", "    if True:"),
    Mutation("what was undone behind a failed compensation is undone twice", CONSEQUENCES, "    gone -= done\n    aside |= done\n", ""),
    Mutation("a step that is done again keeps its key", STEP, '.hex()\n    info', '.hex()\n    key = turn.derive("step " + op.id).hex()\n    info'),
    Mutation("a step that cleans up has the key of one on no record", STEP, '"\\0" * op.cleans_up', '""'),
    Mutation("a signal that cleans up counts as sent before", "core/operations/posts.py", "' cleaning up' * op.cleans_up", "''"),
    Mutation("clean-up in a branch has the keys of before", "core/scope.py", "(around is not None and around.ended)", "False"),
    Mutation("a loser that is on no record keeps what it did", "core/operations/fans.py", "    unrecorded = _is_broken(op) and", "    unrecorded = False and"),
    Mutation("a death is forgotten by the next turn", "core/operations/fans.py", "return op.record.broken if op.record is not None else op.turn.journal.may_have_begun(op.id)", "return op.turn.took_over"),
    Mutation("what died before it was on record is forgotten", "log/journal.py", "            record.broken = self.may_have_begun(record.id)\n", ""),
    Mutation("a death before a step reaches behind it", "log/journal.py", '        self._passed.add("")\n', ""),
    Mutation("a death in a child reaches behind it", "log/journal.py", "record.kind not in (CHILD, POLL)", "True"),
    Mutation("a death in a branch reaches behind its fan", "log/journal.py", '                self._passed.add(id.rpartition("/")[0])  # the fan, if it is a branch of one\n', ""),
    Mutation("a cancellation proves where nobody was", "log/journal.py", "if ended or (event.kind == STEP and event.status in (SUCCEEDED, FAILED, RAISED)):", "if ended or event.status == RAISED or (event.kind == STEP and event.status in (SUCCEEDED, FAILED)):"),
    Mutation("a patch is as old as what is behind it", "log/journal.py", "            self._patched = True\n", "            pass\n"),
    Mutation("who takes its cancellation comes too late", "runtime/threads/fan.py", "not (told or isinstance(error, ExecutionCancelled))", "not isinstance(error, ExecutionCancelled)"),
    Mutation("who came too late is forgotten by the next turn", "core/operations/fans.py", "            fan.late += 1  # it did not notice that it was cancelled\n", "            pass\n"),
    Mutation("a loser is asked for once", "core/operations/fans.py", "            return next((other for other in fan.branches if _is_wanted(op, fan, other)), None)\n", "            pass\n"),
    Mutation("who makes way wrote all it did", "runtime/outcome.py", "doubtful=acted", "doubtful=False"),
    Mutation("who holds wrote all it did", "runtime/outcome.py", "        fenced = turn.progress is Progress.NONE\n", "        fenced = True\n"),
    Mutation("what a redrive forgot is a death", "log/journal.py", "if event.kind in (FENCE, HANDOVER):", "if event.kind != BLANK:"),
    Mutation("a group does not end its tasks when the time is over", "runtime/aio/native.py", "        return AsyncExecutionTimedOut(*error.args)", "        return error"),
    Mutation("a redrive over a handled cancellation forgets it", "log/consequences.py", "    return END_ID in cuts or any(place < q for _, place in cuts.values())", "    return True"),
    Mutation("what a branch did until its cancellation reached it is clean-up", "log/consequences.py", "                led = next((p - 1 for p in log.raised.get(event.id, ()) if p >= led), led)\n", ""),
    Mutation("a race lost inside a branch is tried again with what failed beside", "log/consequences.py", " and not _lost_inside(log, event.id, _lane(event.id, cause))", ""),
    Mutation("branches of a narrow fan come in one order", "log/consequences.py", "    return branch in log.aside or log.first.get(branch, end) > end", "    return False"),
    Mutation("clean-up that failed is the cause", "log/origins.py", "    return min(noted or behind, behind or noted, key=lambda notes: [note.number for note in notes])", "    return noted or behind"),
    Mutation("a redrive says that it was cut at what stays", "log/redrive.py", " and events[q].id not in known", ""),
    Mutation("a fan is over without the branches that come again", "log/consequences.py", "    return {q for q, event in enumerate(log.events) if event.id in fans and event.status == SUCCEEDED}", "    return set()"),
    Mutation("what was laid aside has its old place in the next redrive", "log/consequences.py", "    return branch in log.aside or log", "    return log"),
    Mutation("who lost a race inside a branch beside unwound by the failure", "log/consequences.py", '            if not _lost_inside(log, f"{event.id}/", _lane(event.id, cause)):', "            if True:"),
    Mutation("a failure that the branch beside had dealt with is tried again", "log/consequences.py", '(end < place or fan.startswith(f"{lane}/"))', "end < place"),
    Mutation("what a loser had open is there before it begins it", "log/consequences.py", "_walked_again(event) or _left_open(log, event)", "_walked_again(event)"),
    Mutation("a saga is undone by lines that come again", "log/consequences.py", "touched(undone, gone - again)", "touched(undone, gone)"),
    Mutation("a result that a task did not get is no result", "log/consequences.py", "event.status == CANCELLED and event.id not in log.results", "event.status == CANCELLED"),
    Mutation("what timed out was not passed in its own turn", "core/cancellation.py", "        op.turn.journal.passed(event)\n", ""),
    Mutation("what a fork leaves out is a death", "log/fork.py", "if left else gap(now)", "if left else Event(\"\", \"fence\", 0, \"B\", 1, now).line()"),
    Mutation("the branch that decided lets another one begin", "core/fan.py", " - (self.decided is not None)", ""),
    Mutation("who ends too late was late for the dead, too", "runtime/threads/fan.py", "            self.fan.late += not (told or isinstance(error, ExecutionCancelled))\n", ""),
    Mutation("a loser on no record is forgotten once a race is won", "core/operations/fans.py", "fan.over and not broken and not _may_have_begun(op, fan, branch)", "fan.over"),
    Mutation("a branch that could not have begun is undone", "core/operations/fans.py", " and branch.index < fan.most_begun", ""),
    Mutation("bytes stand for a run", "backends/aws/items.py", 'told(item[name]) if name in _PACKED else item[name]["S"]', "told(item[name])"),
    Mutation("a token that is no text breaks the callback API", "callback_api.py", "if not isinstance(token, str) or not token:", "if not token:"),
    Mutation("what was terminated before it was loaded runs on", INVOCATION, "or not self._is_mine(loaded)", "or False"),
    Mutation("a tombstone behind a header that was read before is not seen", INVOCATION, "            there = self.backend.store.head(loaded.header.id)\n", "            pass\n"),
    Mutation("who ended it ends it again after a redrive (SQLite)", HEADER, 'status="PENDING", own="", lease=0, prev_lease=0', 'status="PENDING", lease=0, prev_lease=0'),
    Mutation("who ended it ends it again after a redrive (DynamoDB)", TRANSITIONS, '"own", "prev_lease", "deadline"', '"prev_lease", "deadline"'),
    Mutation("a redrive begins an interrupted body again", CONSEQUENCES, "place is None or is_interrupted(log.events[place])", "place is None"),
    Mutation("a redrive from before it begins an interrupted body again", REDRIVE, "stay = {} if how == \"fork\" else", "stay = {} if how else"),
    Mutation("a body that was cut short may begin again", "log/interrupted.py", "if known.status == BEGUN or is_interrupted(known):", "if is_interrupted(known):"),
    Mutation("any policy tries an interrupted body again", "core/retry.py", "        if StepInterrupted not in classes or", "        if"),
    Mutation("an interrupted body is tried again for ever", "core/retry.py", "(self.max_attempts is not None and attempt >= self.max_attempts):\n            return False\n        try:", "attempt < 0:\n            return False\n        try:"),
    Mutation("a history forgets what a redrive forgot", "log/history.py", "            elif not _aside(event):\n                shown_entry = _entry", "            elif not _aside(event) and number in left:\n                shown_entry = _entry"),
    Mutation("a replay reads what a redrive forgot", "log/history.py", "forgotten=kept is None)", "forgotten=False)"),
    Mutation("a group does not say what is in it", "log/failures.py", '    return f"; the first: {class_name(type(leaf))}: {_message(leaf)}"', '    return ""'),
    Mutation("a caller is told the class of the wrapper", "core/operations/calls.py", "error_type=failure.root or failure.error_type or None", "error_type=failure.error_type or None"),
    Mutation("a caller is not told the data of what failed", "core/operations/calls.py", "        data=data.get(\"data\"),\n", ""),
    Mutation("a caller is told one of several causes", "core/operations/calls.py", "root=failure.root, several=failure.several)", "root=failure.root, several=failure.several[:1])"),
    Mutation("a race does not say why nobody won", "core/fan.py", "        text += f\"; the first", "        _ = f\"; the first"),
    Mutation("a lost log is redriven", "client/executions.py", "- DAY_MS > 0:", "- DAY_MS > 1 << 60:"),
    Mutation("a finished one stays as long as its log", HEADER,
             "        ttl=removal(ending.finished, ending.retention or header.retention),\n", ""),
    Mutation("a purge that repeats removes the next execution", "backends/aws/retention.py", ", **expressed(retired(header.run))", ""),
    Mutation("a purged one is redriven", HEADER, "    if header.status == PURGED:\n", "    if False:\n"),
    Mutation("a stale owner's value stands", "backends/aws/items.py", "return hashlib.sha256(value.encode()).hexdigest()[:24]", 'return "value"'),
    Mutation("a yield waits for the inbox", SETTLEMENT, "seen = turn.seen if due > now else None", "seen = turn.seen"),
    Mutation("a message runs any function's code", TRANSITIONS, "if lease.fn is not None:", "if False:"),
    Mutation("a cancellation that meets a new generation is dropped", "runtime/calls.py", '        elif reply.reason == "unknown":\n            continue', '        elif reply.reason == "unknown":\n            return reply'),
    Mutation("lists are not told that one is held", TRANSITIONS, "held=bool(parking.strikes or parking.doubtful)", "held=False"),
    Mutation("lists are not told of what was given back", TRANSITIONS, '_shelve(change, header, "SUSPENDED", held=True)', '_shelve(change, header, "SUSPENDED")'),
    Mutation("lists are not told of a new generation", TRANSITIONS, '    _shelve(change, header, "PENDING")\n    if renewal', "    if renewal"),
    Mutation("lists are not told that a held one is tried", TRANSITIONS, "        _shelve(change, header, header.status, held=bool(header.doubtful))\n", ""),
    Mutation("lists are not told of a redrive", TRANSITIONS, '    _shelve(change, header, "PENDING")\n    condition', "    condition"),
    Mutation("lists are not told of an end", TRANSITIONS, "    _shelve(change, header, ending.status)\n", ""),
    Mutation("lists are not told of a start", "backends/aws/items.py", "\"shelf\": text(shelf_of(header)),", ""),
    Mutation("a page reads without a bound", "backends/aws/listing.py", "most = None if limit is None else 2 * limit", "most = None if limit is None else 10**9"),
    Mutation("a page begins anew among those of one time", "backends/aws/listing.py", "if self._after is None or key[:2] < self._after:", "if True:"),
    Mutation("those of one time come in any order", "backends/aws/listing.py", "for key in sorted(same, reverse=True):", "for key in same:"),
    Mutation("what is being removed is listed", "log/selection.py", "return header.status != PURGED and ", "return "),
    Mutation("nobody says when it was taken", HEADER, "        updated=lease.now,\n", ""),
    Mutation("a held one counts as overdue", "log/selection.py", "if not header.live or header.held or header.lease >= now:", "if not header.live or header.lease >= now:"),
    Mutation("who asked is not kept", "client/executions.py", "self.clock.now(), actor(by))", "self.clock.now(), None)"),
    Mutation("the code version is not kept", INVOCATION, "with_version(secrets.token_hex(6), code_version(function))", "secrets.token_hex(6)"),
    Mutation("the count is not confirmed", "cli/bulk.py", "        if choice.confirm != count:\n", "        if False:\n"),
    Mutation("a dry run acts", "cli/bulk.py", "        _show(target, verb, found, passed)\n        return\n", "        _show(target, verb, found, passed)\n"),
    Mutation("the bodies of steps are checked", "cli/nondeterminism.py", "            if argument is recorded:\n                continue\n", ""),
    Mutation("what a terminal acts upon is shown", "cli/screens.py", "    if text.isprintable():\n        return text\n    lines", "    return text\n    lines"),
    Mutation("the dashboard answers under any name", "ui/guard.py", "if name not in LOOPBACK and name not in self.hosts:", "if False:"),
    Mutation("another site's page may ask (Origin)", "ui/guard.py", "and not _is_own(origin, request):", "and False:"),
    Mutation("another site's page may ask (Sec-Fetch-Site)", "ui/guard.py",
             'if site in ("same-origin", "none") or origin in self.origins:', "if True:"),
    Mutation("a link may lead into the API", "ui/guard.py", "if not (navigable and followed):", "if not followed:"),
    Mutation("no token is as good as one", "ui/guard.py", "if not hmac.compare_digest(", "if shown and not hmac.compare_digest("),
    Mutation("a form can change something", "ui/guard.py", "if request.method not in _SAFE and not request", "if False and not request"),
    Mutation("a read-only dashboard changes things", "ui/api.py", "    if world.read_only:\n", "    if False:\n"),
    Mutation("a dashboard whose URL is public shows all", "ui/function.py", "if not isinstance(found, str) or not found:", "if False:"),
    Mutation("a dashboard on AWS may change things unless told", "ui/function.py", 'changes == "off", _POLL_S', "False, _POLL_S"),
    Mutation("a step alone is not seen", "ui/views.py", "store.tail(header) if header.live else 0", "0"),
    Mutation("a list carries values", "ui/views.py", 'for name in ("input", "result", "waiting_for"):', 'for name in ("waiting_for",):'),
    Mutation("many are acted on though they do not fit", "ui/actions.py", "for info in page.executions if doable(verb, info)]", "for info in page.executions]"),
    Mutation("many are acted on though they do not fit (command)", "cli/bulk.py", " if doable(verb, info, from_step=self.from_step)]", "]"),
    Mutation("branches begin one after the other", "ui/timeline.py", "return bool(scope) and _kind", "return False and _kind"),
    Mutation("a pause is a part of the next attempt", "ui/timeline.py", 'attempts[-1].get("due") or attempts[-1]["to"]', 'attempts[-1]["to"]'),
    Mutation("what a redrive forgot counts", "ui/timeline.py", "if not forgotten and row[\"forgotten\"]:", "if row[\"forgotten\"]:"),
    Mutation("an execution whose process died waits for its lease", "local/pool.py", "        if worker.holds:\n            self._buried", "        if False:\n            self._buried"),
    Mutation("another owner's lease is ended", SQLITE, "WHERE id = ? AND own = ? AND lease >= ?", "WHERE id = ? AND own <> ? AND lease >= ?"),
    Mutation("code that cannot be loaded takes over", "local/pool.py", "        if new.served is None:\n            return new\n", ""),
    Mutation("an invocation may take as long as it likes", "local/pool.py", "        worker.limit(job.timeout)\n", ""),
    Mutation("two servers have one journal", "local/locks.py", "if not _lock(self._own, wait=False):", "if False:"),
    Mutation("the workers of a killed server are not waited for", "local/locks.py", "        _lock(self.workers, wait=True)\n", "        return\n"),
    Mutation("what the server before had waits for its lease", "local/service.py", "self.dispatcher.adopt() if", "0 if"),
    Mutation("SIGTERM ends what runs", "local/service.py", "            await self.pool.drain()\n", "            await self.pool.kill()\n"),
    Mutation("a worker outlives its server", "local/process.py", "                return\n    os._exit(1)", "                return"),
    Mutation("scripts are imported", "local/discovery.py", 'not name.startswith("test_") and _is_durable(Path(parent, name))', 'not name.startswith("test_")'),
    Mutation("an at-most-once body begins with too little time", STEP, "            yield CheckTime(plan.timeout)\n", ""),
    Mutation("a deadline is seen in waits only", "core/turn.py", "        if self.cancel_scope.cancellation is None and self.late:\n", "        if False:\n"),
    Mutation("a generation counts from its execution's beginning (SQLite)", HEADER, "deadline=renewal.deadline, timeout_from=None,", "deadline=renewal.deadline,"),
    Mutation("a generation counts from its execution's beginning (DynamoDB)", TRANSITIONS, '"copied", "timeout_from")', '"copied")'),
    Mutation("a redrive keeps the function's timeout (SQLite)", HEADER, "deadline=None, timeout_from=None,", "deadline=None,"),
    Mutation("a redrive keeps the function's timeout (DynamoDB)", TRANSITIONS, '"deadline", "timeout_from", "finished"', '"deadline", "finished"'),
    Mutation("a start by name has no timeout", INVOCATION, "if header.timeout_from is not None and", "if False and"),
    Mutation("a queue that may not be used is not looked for elsewhere", "backends/aws/requests.py", "in _NO_QUEUE | _NO_RIGHT", "in _NO_QUEUE"),
    Mutation("a call beside a shielded block waits for its cancellation alone", "core/operations/calls.py", " and (op.turn.front is None or not op.turn.shields)", ""),
    Mutation("owners of a miscounted inbox give way for ever", INVOCATION, "if len(counts) == 1 and turn.seen > turn.header.n:", "if False:"),
    Mutation("what was left begins in each replay", "runtime/aio/operation.py", "        if record is not None and record.given_up is not None and self.op.kind == STEP:", "        if False:"),
    Mutation("time in a generation begins with the execution", "core/turn.py", "journal.origin or journal.generation or header.started", "journal.origin or header.started"),
    Mutation("time in a fork of a generation begins with the execution", "log/fork.py", "original.origin or original.generation or header.started", "original.origin or header.started"),
]  # fmt: skip


def survives(tree: Path, mutation: Mutation, known: dict[str, str]) -> str | None:
    """What is wrong with the tests, or None: one of them failed, as it should, and is `known` now."""
    path = tree / "durable_fn" / mutation.file
    text = path.read_text()
    if text.count(mutation.old) != 1:
        return f"does not apply: {text.count(mutation.old)} places in {mutation.file}"
    path.write_text(text.replace(mutation.old, mutation.new))
    first = [[known[mutation.name]]] if _is_there(tree, known.get(mutation.name)) else []
    likeliest = likely(ROOT / "tests", f"{mutation.name} {mutation.file}")
    nearest = _of(mutation.file, NEAREST)
    own = _of(mutation.file, OWN_TESTS) or [*nearest, *(tests for tests in TESTS if tests not in nearest)]
    try:
        for tests in [*first, likeliest, *([] if _ONLY_LIKELY in sys.argv else own)]:
            if (failed := _failed(tree, tests)) is not None:
                known[mutation.name] = failed
                return None
    except RuntimeError as error:
        return str(error)
    finally:
        path.write_text(text)
    return "no test noticed"


def _of(file: str, tests: dict[str, list[list[str]]]) -> list[list[str]]:
    return next((groups for start, groups in tests.items() if file.startswith(start)), [])


def _is_there(tree: Path, test: str | None) -> bool:
    return test is not None and (tree / test.partition("::")[0]).exists()


def _failed(tree: Path, tests: list[str]) -> str | None:
    """The test that failed, or None. RuntimeError: something else went wrong."""
    options = ["-x", "-n", "0", "-vv", "--no-header", "--timeout=120", f"--ignore={_OF_THIS_TABLE}"]
    options += ["--timeout-method=thread"]  # ends the process: a local cloud takes an exception for a death
    command = [sys.executable, "-m", "pytest", *options, *tests]
    run = subprocess.run(command, cwd=tree, capture_output=True, text=True, env=_environment(tree), errors="replace")
    if run.returncode in (0, _NOTHING_THERE):
        return None
    if failed := re.search(r"^FAILED (tests\S+?::.+?)(?: - .*)?$", run.stdout, re.MULTILINE):
        return failed[1]
    if "+ Timeout +" in run.stdout + run.stderr:  # a mutation may make an endless loop
        return re.findall(r"^(tests/\S+\.py::.*?) *(?:\++ Timeout \++)?$", run.stdout, re.MULTILINE)[-1].strip()
    raise RuntimeError(run.stdout[-500:] or f"pytest ended with {run.returncode}")


def _environment(tree: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}


def main() -> None:
    bad, known = 0, json.loads(NOTICED_BY.read_text())
    words = [word for word in sys.argv[1:] if not word.startswith("--")]
    wanted = [m for m in MUTATIONS if not words or any(word in m.name for word in words)]
    wanted = [m for m in wanted if m.name not in known or _ONLY_UNSEEN not in sys.argv]
    with tempfile.TemporaryDirectory(prefix="durable-fn-mutations-") as directory:
        tree = Path(directory) / "tree"
        shutil.copytree(
            ROOT, tree, ignore=shutil.ignore_patterns(".git", ".venv*", "__pycache__", ".*_cache", ".hypothesis")
        )
        for mutation in wanted:
            problem = survives(tree, mutation, known)
            bad += problem is not None
            said = (
                f"noticed   {mutation.name}: {known[mutation.name]}"
                if problem is None
                else f"SURVIVED  {mutation.name}: {problem}"
            )
            print(said, flush=True)
            kept = {m.name: known[m.name] for m in MUTATIONS if m.name in known}
            NOTICED_BY.write_text(json.dumps(kept, indent=1) + "\n")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
