# SPDX-License-Identifier: Apache-2.0
"""Reads back, in each place where a span can be current, what this thread publishes."""

import asyncio
import contextvars
import importlib.util
import os
import subprocess
import sys
import threading
import unittest
from concurrent.futures import ThreadPoolExecutor

import spanwise_context

spanwise_context.install()

from opentelemetry import context, trace  # noqa: E402
from opentelemetry.sdk.resources import Resource  # noqa: E402
from opentelemetry.sdk.trace import Tracer, TracerProvider, sampling  # noqa: E402

tracer = TracerProvider(resource=Resource.create({"service.name": "tests"})).get_tracer("tests")
try:
    import uvloop
except ImportError:
    uvloop = None


def ids(span):
    of = span.get_span_context()
    return of.trace_id.to_bytes(16, "big"), of.span_id.to_bytes(8, "big")


def process_context():
    """The payload of this process's OTEL_CTX mapping, or None."""
    with open("/proc/self/maps", encoding="utf-8") as maps:
        starts = [int(line.split("-")[0], 16) for line in maps if "OTEL_CTX" in line]
    if not starts:
        return None
    with open("/proc/self/mem", "rb") as memory:
        memory.seek(starts[0])
        return memory.read(4096)


def in_child(check):
    """Runs `check` in a forked child; True if it returned true there."""
    child = os.fork()
    if child == 0:
        result = 1
        try:
            result = 0 if check() else 1
        finally:
            os._exit(result)
    return os.waitpid(child, 0)[1] == 0


# What stands behind the record: a log, or nothing.
MARKS = """
import ctypes, logging, struct, spanwise_context
spanwise_context.install()
from opentelemetry.sdk.trace import TracerProvider
tracer = TracerProvider().get_tracer("x")
def log():
    record = ctypes.c_void_p.in_dll(ctypes.CDLL(spanwise_context._writer.__file__), "otel_thread_ctx_v1").value
    _, ring, written = struct.unpack("3Q", ctypes.string_at(record + 32, 24))
    entries = [ctypes.string_at(ring + 32 * i, 32) for i in range(written)]
    return [(struct.unpack("Q", entry[:8])[0] >> 63, entry[24:].hex()) for entry in entries]
unshown = tracer.start_span("never current")
unshown.end()
with tracer.start_as_current_span("current") as current:
    pass
logging.disable()  # the SDK warns of the second one
current.end()
a, b = (f"{span.get_span_context().span_id:016x}" for span in (unshown, current))
none = "0" * 16
expected = [(1, a), (0, none), (1, a), (0, none), (1, b), (0, none), (0, b), (0, none), (1, b), (0, none)]
assert log() == expected, log()
"""
UNSAMPLED = """
import spanwise_context
spanwise_context.install()
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider, sampling
silent = TracerProvider(sampler=sampling.ALWAYS_OFF).get_tracer("x")
marked, mark = [], spanwise_context._writer.mark
spanwise_context._writer.mark = lambda span: (marked.append(span), mark(span))
with silent.start_as_current_span("dropped") as dropped:
    with silent.start_as_current_span("below") as below:
        assert not below.is_recording()
    trace.NonRecordingSpan(below.get_span_context()).end()  # somebody's own, who did not begin it
dropped.end()
assert marked == [dropped, below, below, dropped], marked
"""
DISABLED = """
import spanwise_context
spanwise_context.install()
from opentelemetry.sdk.trace import TracerProvider, _TracerConfig
provider = TracerProvider()
outer, disabled = provider.get_tracer("x"), provider.get_tracer("disabled")
disabled._set_tracer_config(_TracerConfig(is_enabled=False))
marked, spanwise_context._writer.mark = [], lambda span: marked.append(span)
with outer.start_as_current_span("outer") as span:
    with disabled.start_as_current_span("nothing"):
        pass
assert marked == [span, span], marked
"""
UNMARKED = """
import opentelemetry.sdk.trace as sdk, spanwise_context
start = sdk.Span.start
spanwise_context.install()
with sdk.TracerProvider().get_tracer("x").start_as_current_span("y"):
    assert sdk.Span.start is start
assert not hasattr(sdk.Tracer.start_span, "_spanwise")
"""
GREENLETS = """
import spanwise_context
spanwise_context.install()
import gevent
from opentelemetry.sdk.trace import TracerProvider
tracer = TracerProvider().get_tracer("x")
def ids(span):
    return span.get_span_context().trace_id.to_bytes(16, "big"), span.get_span_context().span_id.to_bytes(8, "big")
def work(number):
    with tracer.start_as_current_span(f"greenlet {number}") as span:
        for _ in range(20):
            gevent.sleep(0)
            assert spanwise_context.published() == ids(span), number
        raise KeyError(number) if number == 3 else gevent.GreenletExit
    assert False
def idle():
    for _ in range(20):
        gevent.sleep(0)
        assert spanwise_context.published() is None
with tracer.start_as_current_span("main") as span:
    gevent.get_hub().exception_stream = None
    greenlets = [gevent.spawn(work, number) for number in range(10)] + [gevent.spawn(idle)]
    gevent.joinall(greenlets)
    assert spanwise_context.published() == ids(span)
    assert [type(one.exception) for one in greenlets].count(type(None)) == 10, [one.exception for one in greenlets]
"""
MISSING = """
import importlib.machinery, sys
import spanwise_context
spanwise_context.install()
sys.path.clear()
for module in ("uvloop", "greenlet"):
    try:
        __import__(module)
    except ModuleNotFoundError as error:
        assert error.name == module
    else:
        assert False, module
class Loader:
    __slots__ = ()
    def create_module(self, spec): return None
    def exec_module(self, module): module.Loop = type("Loop", (), {})
class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        return importlib.machinery.ModuleSpec(name, Loader()) if name == "uvloop" else None
from spanwise_context import _follow_loops
_follow_loops()
sys.meta_path.append(Finder)
import uvloop
assert uvloop.Loop
"""
LOGS = """
import ctypes, spanwise_context
spanwise_context.install()
from opentelemetry.sdk.trace import TracerProvider
with TracerProvider().get_tracer("x").start_as_current_span("y"):
    record = ctypes.c_void_p.in_dll(ctypes.CDLL(spanwise_context._writer.__file__), "otel_thread_ctx_v1").value
    assert (ctypes.string_at(record + 32, 8) == b"SPWCHNG1") == {}, ctypes.string_at(record + 32, 8)
"""


class Case(unittest.TestCase):
    def setUp(self):
        self.assertNothing()

    def tearDown(self):
        self.assertNothing()

    def assertNothing(self):
        self.assertIsNone(spanwise_context.published())

    def assertPublished(self, span):
        self.assertEqual(spanwise_context.published(), ids(span))

    def python(self, *arguments, **environment):
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=os.path.dirname(__file__),
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=60,
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""))


class OneThread(Case):
    def test_nested_spans_come_back_in_order(self):
        with tracer.start_as_current_span("outer") as outer:
            self.assertPublished(outer)
            with tracer.start_as_current_span("inner") as inner:
                self.assertPublished(inner)
            self.assertPublished(outer)

    def test_an_exception_restores_the_outer_span(self):
        with tracer.start_as_current_span("outer") as outer:
            with self.assertRaises(KeyError):
                with tracer.start_as_current_span("inner"):
                    raise KeyError
            self.assertPublished(outer)

    def test_a_context_without_a_span_publishes_none(self):
        with tracer.start_as_current_span("outer") as outer:
            token = context.attach(context.Context())
            self.assertNothing()
            context.detach(token)
            self.assertPublished(outer)

    def test_values_beside_the_span_change_nothing(self):
        with tracer.start_as_current_span("outer") as outer:
            token = context.attach(context.set_value("key", "value"))
            self.assertPublished(outer)
            context.detach(token)

    def test_an_unsampled_span_is_published(self):
        silent = TracerProvider(sampler=sampling.ALWAYS_OFF).get_tracer("tests")
        with silent.start_as_current_span("unsampled") as span:
            self.assertFalse(span.is_recording())
            self.assertPublished(span)

    def test_a_remote_parent_is_not_ours_to_publish(self):
        remote = trace.NonRecordingSpan(trace.SpanContext(7, 8, is_remote=True))
        with trace.use_span(remote):
            self.assertNothing()
            with tracer.start_as_current_span("local") as span:
                self.assertPublished(span)
            self.assertNothing()

    def test_a_foreign_object_as_span_publishes_none(self):
        for foreign in (object(), "span", trace.INVALID_SPAN, None):
            with self.subTest(foreign=foreign):
                token = context.attach(trace.set_span_in_context(foreign))
                self.assertNothing()
                context.detach(token)

    def test_a_detach_in_the_wrong_context_keeps_the_right_span(self):
        with tracer.start_as_current_span("outer") as outer:
            token = contextvars.copy_context().run(context.attach, context.Context())
            with self.assertLogs("opentelemetry.context", "ERROR"):
                context.detach(token)
            self.assertPublished(outer)

    def test_installing_again_changes_nothing(self):
        with tracer.start_as_current_span("outer") as outer:
            self.assertTrue(spanwise_context.install())
            self.assertPublished(outer)

    def test_switching_to_another_context_and_back(self):
        with tracer.start_as_current_span("captured") as captured:
            saved = contextvars.copy_context()
        with tracer.start_as_current_span("outer") as outer:
            saved.run(self.assertPublished, captured)
            self.assertPublished(outer)
            with self.assertRaises(ZeroDivisionError):
                saved.run(lambda: 1 / 0)
            self.assertPublished(outer)

    def test_context_run_behaves_as_before(self):
        saved = contextvars.copy_context()
        self.assertEqual(saved.run(lambda a, *, b: (a, b), 1, b=2), (1, 2))
        with self.assertRaises(TypeError):
            saved.run()
        with self.assertRaises(RuntimeError):
            saved.run(saved.run, print)


class Threads(Case):
    def test_a_thread_starts_without_a_span(self):
        with tracer.start_as_current_span("outer") as outer, ThreadPoolExecutor(1) as pool:
            self.assertIsNone(pool.submit(spanwise_context.published).result())
            self.assertPublished(outer)

    def test_threads_do_not_see_each_other(self):
        barrier = threading.Barrier(8)

        def work(number):
            with tracer.start_as_current_span(str(number)) as span:
                barrier.wait(10)
                return spanwise_context.published() == ids(span)

        with ThreadPoolExecutor(8) as pool:
            self.assertTrue(all(pool.map(work, range(8))))

    def test_a_pool_thread_forgets_the_context_it_ran_in(self):
        def work():
            with tracer.start_as_current_span("child"):
                pass
            return spanwise_context.published()

        with ThreadPoolExecutor(1) as pool:
            with tracer.start_as_current_span("outer") as outer:
                inside = pool.submit(contextvars.copy_context().run, work).result()
                self.assertEqual(inside, ids(outer))
            self.assertIsNone(pool.submit(spanwise_context.published).result())


def run_on_asyncio(main):
    return asyncio.run(asyncio.wait_for(main(), 20))


def run_on_uvloop(main):
    loop = uvloop.new_event_loop()
    try:
        return loop.run_until_complete(asyncio.wait_for(main(), 20))
    finally:
        loop.close()


class Asyncio(Case):
    run_loop = staticmethod(run_on_asyncio)

    def test_each_task_shows_its_own_span(self):
        wrong = []

        async def task(number):
            with tracer.start_as_current_span(f"task {number}") as span:
                for _ in range(20):
                    if spanwise_context.published() != ids(span):
                        wrong.append(number)
                    with tracer.start_as_current_span("inner") as inner:
                        await asyncio.sleep(0)
                        if spanwise_context.published() != ids(inner):
                            wrong.append(number)
                    await asyncio.sleep(0.0001 * (number % 3))

        async def main():
            await asyncio.gather(*map(task, range(10)))

        self.run_loop(main)
        self.assertEqual(wrong, [])

    def test_a_task_without_a_span_shows_none(self):
        seen = []

        async def busy(started):
            with tracer.start_as_current_span("busy"):
                started.set()
                await asyncio.sleep(0.01)

        async def main():
            started = asyncio.Event()
            other = asyncio.ensure_future(busy(started))
            await started.wait()
            seen.append(spanwise_context.published())
            asyncio.get_running_loop().call_soon(lambda: seen.append(spanwise_context.published()))
            await other
            seen.append(spanwise_context.published())

        self.run_loop(main)
        self.assertEqual(seen, [None, None, None])

    def test_a_thread_of_the_loop_shows_the_awaiting_span(self):
        async def main():
            with tracer.start_as_current_span("outer") as outer:
                inside = await asyncio.to_thread(spanwise_context.published)
                self.assertEqual(inside, ids(outer))
                self.assertPublished(outer)

        self.run_loop(main)

    def test_a_generator_that_keeps_a_span_open_is_followed(self):
        async def numbers():
            with tracer.start_as_current_span("generator") as span:
                yield span
                await asyncio.sleep(0)
                yield span

        async def main():
            async for span in numbers():
                self.assertPublished(span)
                await asyncio.sleep(0)
                self.assertPublished(span)

        self.run_loop(main)


class Greenlets(Case):
    def test_a_loop_that_cannot_be_followed_is_imported_all_the_same(self):
        self.python("-c", MISSING)

    @unittest.skipUnless(importlib.util.find_spec("gevent"), "gevent is not here")
    def test_each_greenlet_shows_its_own_span(self):
        self.python("-c", GREENLETS)


@unittest.skipUnless(uvloop, "uvloop is not here")
class Uvloop(Asyncio):
    run_loop = staticmethod(run_on_uvloop)

    def test_whatever_the_loop_calls_shows_its_own_span(self):
        seen = []

        async def main():
            loop = asyncio.get_running_loop()
            ours, theirs = os.pipe()
            done = loop.create_future()

            def note(what):
                seen.append((what, spanwise_context.published()))

            def on_readable():
                note("reader")
                loop.remove_reader(ours)
                done.set_result(None)

            with tracer.start_as_current_span("outer") as outer:
                loop.call_soon(note, "soon")
                loop.call_later(0.001, note, "later")
                loop.call_at(loop.time() + 0.001, note, "at")
                loop.add_reader(ours, on_readable)
                threading.Timer(0.01, loop.call_soon_threadsafe, (os.write, theirs, b"!")).start()
            await asyncio.sleep(0)
            self.assertNothing()
            await done
            os.close(ours), os.close(theirs)
            self.assertEqual(sorted(seen), [(what, ids(outer)) for what in ("at", "later", "reader", "soon")])

        self.run_loop(main)


class Processes(Case):
    def test_the_process_context_says_what_the_resource_says(self):
        resource = Resource.create({"service.name": "renamed", "service.instance.id": "instance-7"})
        code = (
            "import sys, test_context as t\n"
            "provider = t.TracerProvider(resource=t.Resource.create("
            "{'service.name': 'renamed', 'service.instance.id': 'instance-7'}))\n"
            "assert b'from-environment' in t.process_context()\n"
            "with provider.get_tracer('x').start_as_current_span('y'):\n"
            "    payload = t.process_context()\n"
            "assert b'renamed' in payload and b'instance-7' in payload, payload\n"
            "assert b'tlsdesc_v1_dev' in payload\n"
        )
        self.assertEqual(resource.attributes["service.name"], "renamed")
        self.python("-c", code, OTEL_SERVICE_NAME="from-environment")

    def test_a_forked_child_has_its_own_identity_and_its_parents_span(self):
        parent = spanwise_context.instance_id()

        with tracer.start_as_current_span("outer") as outer:
            self.assertTrue(
                in_child(
                    lambda: spanwise_context.published() == ids(outer)
                    and spanwise_context.instance_id() not in ("", parent)
                    and spanwise_context.instance_id().encode() in process_context()
                )
            )
            self.assertTrue(in_child(self.child_publishes_its_own))
            self.assertPublished(outer)
        self.assertEqual(spanwise_context.instance_id(), parent)

    def child_publishes_its_own(self):
        with tracer.start_as_current_span("in the child") as span:
            return spanwise_context.published() == ids(span)

    def test_the_environment_variable_is_enough(self):
        self.python(
            "-c",
            "from opentelemetry import trace\n"
            "from opentelemetry.sdk.trace import TracerProvider\n"
            "with TracerProvider().get_tracer('x').start_as_current_span('y'):\n"
            "    import spanwise_context\n"
            "    assert spanwise_context.published()\n",
            OTEL_PYTHON_CONTEXT="spanwise_context",
        )

    def test_changes_are_logged_unless_that_is_turned_off(self):
        for mode, logs in (("", True), ("1", True), ("0", False)):
            self.python("-c", LOGS.format(logs), SPANWISE_EXACT_MODE=mode)
        self.python("-c", LOGS.format(False).replace("install()", "install(exact_mode=False)"))

    def test_a_mark_tells_where_a_thread_begins_and_ends_a_span(self):
        self.python("-c", MARKS)
        self.python("-c", UNMARKED, SPANWISE_EXACT_MODE="0")

    def test_a_span_that_is_not_sampled_is_marked_as_others_are(self):
        self.python("-c", UNSAMPLED)

    @unittest.skipUnless(hasattr(Tracer, "_set_tracer_config"), "an SDK whose tracers cannot be turned off")
    def test_a_tracer_that_is_turned_off_begins_nothing(self):
        self.python("-c", DISABLED)


if __name__ == "__main__":
    unittest.main()
