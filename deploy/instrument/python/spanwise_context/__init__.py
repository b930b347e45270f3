# SPDX-License-Identifier: Apache-2.0
"""Shows the current OpenTelemetry span of each thread to spanwise.

Under ``opentelemetry-instrument`` it is enough that this package is installed. Elsewhere::

    import spanwise_context
    spanwise_context.install()

or OTEL_PYTHON_CONTEXT=spanwise_context in the environment.
"""

import functools
import importlib.abc
import importlib.util
import logging
import os
import sys
from urllib.parse import unquote

from opentelemetry.context.contextvars_context import ContextVarsRuntimeContext

from . import _writer

__all__ = ["SpanwiseRuntimeContext", "install", "instance_id", "published"]

_logger = logging.getLogger(__name__)
_seen_resource = None  # of the SDK; the process context says what it says
_marks_asked_for = False


class SpanwiseRuntimeContext(ContextVarsRuntimeContext):
    """The SDK's own runtime context, which also publishes the span that becomes current."""

    def __init__(self, variable=None, exact_mode=None):
        super().__init__()
        if variable is not None:
            self._current_context = variable
        if _is_exact(exact_mode):
            _turn_exact()
        _writer.watch(self._current_context, _find_span_key, _identify)
        _follow_loops()
        # The C functions do all there is to do; shadowing the methods saves a call.
        self.attach = _writer.attach
        self.detach = _writer.detach
        _publish_process_of_environment()


def install(exact_mode=None):
    """Publishes spans from now on. Any number of calls. False: another runtime context than the
    default one is in use, and cannot be followed. exact_mode: also log each change with its time; if
    it is not given, unless SPANWISE_EXACT_MODE=0 is in the environment. Once on, it stays on."""
    from opentelemetry import context

    runtime = context._RUNTIME_CONTEXT
    if isinstance(runtime, SpanwiseRuntimeContext):
        if exact_mode:
            _turn_exact()
        return True
    if type(runtime) is not ContextVarsRuntimeContext:
        _logger.warning(
            "spans are not published: the runtime context is %s; set OTEL_PYTHON_CONTEXT=spanwise_context",
            type(runtime).__name__,
        )
        return False
    if _is_exact(exact_mode):
        _import_sdk()  # so that its first span is marked, too
    # The same ContextVar: tokens that were handed out before stay good.
    context._RUNTIME_CONTEXT = SpanwiseRuntimeContext(runtime._current_context, exact_mode)
    return True


def _turn_exact():
    global _marks_asked_for
    _writer.exact_mode()
    _marks_asked_for = True
    _mark_loaded_sdk()  # or else when its first span is seen


def _import_sdk():
    try:
        import opentelemetry.sdk.trace  # noqa: F401
    except ImportError:
        pass


def _mark_loaded_sdk():
    sdk = sys.modules.get("opentelemetry.sdk.trace")
    if sdk:
        _mark_edges(getattr(sdk, "Span", None))
        _mark_unsampled(getattr(sdk, "Tracer", None))


def _mark_edges(span_class):
    """Tells which thread begins and ends a span, right before the SDK reads the clock for it."""
    start, end = getattr(span_class, "start", None), getattr(span_class, "end", None)
    if not start or not end or hasattr(start, "_spanwise"):
        return

    @functools.wraps(start)
    def marked_start(span, *args, **options):
        _writer.mark(span)
        return start(span, *args, **options)

    @functools.wraps(end)
    def marked_end(span, *args, **options):
        if span.is_recording():  # it may be ended twice, of which the SDK only warns
            _writer.mark(span)
        return end(span, *args, **options)

    marked_start._spanwise = True
    span_class.start, span_class.end = marked_start, marked_end


def _mark_unsampled(tracer_class):
    """The same of spans that the sampler drops. What stands for one is of the API, and others use it, too, for a
    context that they did not begin: hence only what a tracer of the SDK hands out."""
    start = getattr(tracer_class, "start_span", None)
    if not start or hasattr(start, "_spanwise"):
        return
    from opentelemetry.trace import NonRecordingSpan as dropped_class

    end = dropped_class.end
    # One that is turned off hands out its caller's span again.
    is_enabled = getattr(tracer_class, "_is_enabled", lambda tracer: True)

    @functools.wraps(start)
    def marked_start_span(tracer, *args, **options):
        span = start(tracer, *args, **options)
        if type(span) is dropped_class and is_enabled(tracer):
            _writer.mark(span)
            span._spanwise_begun = True
        return span

    @functools.wraps(end)
    def marked_end(span, *args, **options):
        if span.__dict__.pop("_spanwise_begun", False):
            _writer.mark(span)
        return end(span, *args, **options)

    marked_start_span._spanwise = True
    tracer_class.start_span, dropped_class.end = marked_start_span, marked_end


def _follow_loops():
    """Those that switch contexts in ways of their own; now, or once they are imported."""
    for module, follow in (("uvloop", _follow_uvloop), ("greenlet", _follow_greenlets)):
        if module in sys.modules:
            follow()
        elif not any(isinstance(finder, _AfterImport) and finder.module == module for finder in sys.meta_path):
            sys.meta_path.insert(0, _AfterImport(module, follow))


class _AfterImport(importlib.abc.MetaPathFinder):
    """Has `module` found by the others, and calls `follow` when it has been executed."""

    def __init__(self, module, follow):
        self.module, self.follow = module, follow

    def find_spec(self, name, path=None, target=None):
        if name != self.module:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        execute = getattr(getattr(spec, "loader", None), "exec_module", None)
        try:
            spec.loader.exec_module = lambda module: (execute(module), self.follow())
        except AttributeError:  # not to be found, or a loader that cannot be told: then nobody follows
            pass
        return spec


def _follow_greenlets():
    """Of this thread: gevent's as a rule run on one. Each has a context of its own."""
    greenlet = sys.modules.get("greenlet")
    if greenlet and hasattr(greenlet, "settrace") and greenlet.gettrace() is None:
        greenlet.settrace(_writer.switched)


def _follow_uvloop():
    """Before 3.14 nothing tells that uvloop enters a context, which it does from C: what it is asked to call, the steps
    of tasks among it, shows its span itself."""
    loop = getattr(sys.modules.get("uvloop"), "Loop", None)
    if not loop or sys.version_info >= (3, 14) or hasattr(loop, "_spanwise"):
        return
    loop._spanwise = True
    for name in ("call_soon", "call_soon_threadsafe"):
        setattr(loop, name, _shown_from(0, getattr(loop, name)))
    for name in ("call_later", "call_at", "add_reader", "add_writer", "add_signal_handler"):
        setattr(loop, name, _shown_from(1, getattr(loop, name)))


def _shown_from(place, method):
    """`method`, whose argument at `place` is what shall be called."""

    @functools.wraps(method)
    def shown(loop, *args, **options):
        return method(loop, *args[:place], _writer.shown, *args[place:], **options)

    return shown


def _is_exact(asked_for):
    if asked_for is not None:
        return asked_for
    return os.environ.get("SPANWISE_EXACT_MODE") != "0"


def published():
    """(trace_id, span_id) that this thread publishes, as bytes, or None."""
    return _writer.published()


def instance_id():
    """The service.instance.id that is published for this process."""
    return _writer.instance_id()


def _find_span_key():
    # Late, for opentelemetry.context is still being imported when it loads us by its entry point.
    from opentelemetry.trace.propagation import _SPAN_KEY

    return _SPAN_KEY


def _publish_process_of_environment():
    """What the resource will say if the program does not override it; the first span tells."""
    attributes = {}
    for pair in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "").split(","):
        key, _, value = pair.partition("=")
        attributes[key.strip()] = unquote(value.strip())
    service = os.environ.get("OTEL_SERVICE_NAME") or attributes.get("service.name")
    _publish_process(service, attributes.get("service.instance.id"))


def _publish_process(service, instance):
    try:
        _writer.publish_process(service, instance)
    except (OSError, ValueError) as error:
        _logger.warning("the process context is not published: %s", error)


def _identify(span):
    """Publishes the identity that this span's exporter will claim. True: no need to ask again."""
    global _seen_resource
    resource = getattr(span, "resource", None)
    if resource is None or resource is _seen_resource:
        return False
    _seen_resource = resource
    _follow_loops()  # if they were half imported
    if _marks_asked_for:
        _mark_loaded_sdk()
    service = resource.attributes.get("service.name")
    instance = resource.attributes.get("service.instance.id")
    _publish_process(service, instance or _writer.instance_id())
    return True


# A child is another instance. Newer SDKs give it a new resource; until a span shows it (or for
# good, where the SDK keeps the parent's), the random id holds that the fork gave it.
os.register_at_fork(after_in_child=_writer.ask_identity_again)
