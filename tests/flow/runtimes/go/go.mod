module waits

go 1.19

require go.opentelemetry.io/otel/sdk v0.0.0

replace go.opentelemetry.io/otel/sdk => ../../../context/go/sdk
