module example.org/labels

go 1.18

require go.opentelemetry.io/otel/sdk v0.0.0

replace go.opentelemetry.io/otel/sdk => ./sdk
