# SPDX-License-Identifier: Apache-2.0
"""Shows the current OpenTelemetry span of each thread to spanwise.

Under ``opentelemetry-instrument`` it is enough that this package is installed. Elsewhere::

    import spanwise_context
    spanwise_context.install()

or OTEL_PYTHON_CONTEXT=spanwise_context in the environment.
"""

import logging
import os
from urllib.parse import unquote

from opentelemetry.context.contextvars_context import ContextVarsRuntimeContext

from . import _writer

__all__ = ["SpanwiseRuntimeContext", "install", "instance_id", "published"]

_logger = logging.getLogger(__name__)
_seen_resource = None  # of the SDK; the process context says what it says


class SpanwiseRuntimeContext(ContextVarsRuntimeContext):
    """The SDK's own runtime context, which also publishes the span that becomes current."""

    def __init__(self, variable=None, exact_mode=None):
        super().__init__()
        if variable is not None:
            self._current_context = variable
        if _is_exact(exact_mode):
            _writer.exact_mode()
        _writer.watch(self._current_context, _find_span_key, _identify)
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
            _writer.exact_mode()
        return True
    if type(runtime) is not ContextVarsRuntimeContext:
        _logger.warning(
            "spans are not published: the runtime context is %s; set OTEL_PYTHON_CONTEXT=spanwise_context",
            type(runtime).__name__,
        )
        return False
    # The same ContextVar: tokens that were handed out before stay good.
    context._RUNTIME_CONTEXT = SpanwiseRuntimeContext(runtime._current_context, exact_mode)
    return True


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
    service = resource.attributes.get("service.name")
    instance = resource.attributes.get("service.instance.id")
    _publish_process(service, instance or _writer.instance_id())
    return True


# A child is another instance. Newer SDKs give it a new resource; until a span shows it (or for
# good, where the SDK keeps the parent's), the random id holds that the fork gave it.
os.register_at_fork(after_in_child=_writer.ask_identity_again)
