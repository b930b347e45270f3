// SPDX-License-Identifier: Apache-2.0

// One trace of two spans by the Go SDK; prints its id. PROTOCOL: grpc or proto; the rest is told by OTEL_* variables.
package main

import (
	"context"
	"fmt"
	"os"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

func newExporter(ctx context.Context) (*otlptrace.Exporter, error) {
	if os.Getenv("PROTOCOL") == "grpc" {
		return otlptracegrpc.New(ctx)
	}
	return otlptracehttp.New(ctx)
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	ctx := context.Background()
	exporter, err := newExporter(ctx)
	must(err)
	provider := sdk.NewTracerProvider(sdk.WithSyncer(exporter),
		sdk.WithResource(resource.NewSchemaless(attribute.String("service.name", "interop"))))
	tracer := provider.Tracer("interop", trace.WithInstrumentationVersion("1.0"))
	link := trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
		SpanID:  trace.SpanID{1, 2, 3, 4, 5, 6, 7, 8}, TraceFlags: trace.FlagsSampled,
	})
	with, parent := tracer.Start(ctx, "parent", trace.WithSpanKind(trace.SpanKindServer),
		trace.WithLinks(trace.Link{SpanContext: link}),
		trace.WithAttributes(attribute.String("text", "ü"), attribute.Int("integer", 42), attribute.Float64("double", 0.5),
			attribute.Bool("flag", true), attribute.StringSlice("list", []string{"a", "b"})))
	_, child := tracer.Start(with, "child", trace.WithSpanKind(trace.SpanKindClient))
	child.AddEvent("event", trace.WithAttributes(attribute.Int("n", 1)))
	child.SetStatus(codes.Error, "broken")
	child.End()
	parent.End()
	must(provider.Shutdown(ctx))
	fmt.Println(parent.SpanContext().TraceID())
}
