// SPDX-License-Identifier: Apache-2.0
import io.opentelemetry.api.common.AttributeKey;
import io.opentelemetry.api.common.Attributes;
import io.opentelemetry.api.trace.*;
import io.opentelemetry.context.Context;
import io.opentelemetry.sdk.autoconfigure.AutoConfiguredOpenTelemetrySdk;
import java.util.List;

/** One trace of two spans by the Java SDK, configured by OTEL_* variables; prints its id. */
public class Main {
  public static void main(String[] args) {
    var sdk = AutoConfiguredOpenTelemetrySdk.initialize().getOpenTelemetrySdk();
    var tracer = sdk.getTracer("interop", "1.0");
    var link = SpanContext.create("0102030405060708090a0b0c0d0e0f10", "0102030405060708", TraceFlags.getSampled(), TraceState.getDefault());
    Span parent = tracer.spanBuilder("parent").setSpanKind(SpanKind.SERVER).addLink(link)
        .setAttribute("text", "ü").setAttribute("integer", 42).setAttribute("double", 0.5).setAttribute("flag", true)
        .setAttribute(AttributeKey.stringArrayKey("list"), List.of("a", "b")).startSpan();
    Span child = tracer.spanBuilder("child").setSpanKind(SpanKind.CLIENT).setParent(Context.root().with(parent)).startSpan();
    child.addEvent("event", Attributes.of(AttributeKey.longKey("n"), 1L));
    child.setStatus(StatusCode.ERROR, "broken");
    child.end();
    parent.end();
    sdk.close();
    System.out.println(parent.getSpanContext().getTraceId());
  }
}
