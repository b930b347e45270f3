module spanwise/writers

go 1.24

require (
	github.com/grafana/otel-profiling-go v0.7.0
	go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp v1.45.0
	golang.org/x/sys v0.40.0
)
