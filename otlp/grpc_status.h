/* SPDX-License-Identifier: Apache-2.0 */
/* gRPC's status codes, and when we send them. */
#pragma once

/* clang-format off */
/* X(name, number, when) */
#define GRPC_STATUSES(X)                                                                           \
	X(OK,                  0,  "stored; partial_success says what was rejected")               \
	X(CANCELLED,           1,  "never sent: the client went away")                             \
	X(UNKNOWN,             2,  "never sent")                                                   \
	X(INVALID_ARGUMENT,    3,  "the message is not what OTLP says; content-type is not gRPC")  \
	X(DEADLINE_EXCEEDED,   4,  "the message did not arrive in time")                           \
	X(NOT_FOUND,           5,  "health of a service we do not have")                           \
	X(ALREADY_EXISTS,      6,  "never sent")                                                   \
	X(PERMISSION_DENIED,   7,  "the token is not good for this")                               \
	X(RESOURCE_EXHAUSTED,  8,  "larger than we take; the same bytes will never pass")          \
	X(FAILED_PRECONDITION, 9,  "never sent")                                                   \
	X(ABORTED,             10, "never sent")                                                   \
	X(OUT_OF_RANGE,        11, "never sent")                                                   \
	X(UNIMPLEMENTED,       12, "unknown method or encoding; not one message")                  \
	X(INTERNAL,            13, "broken framing or compression; the disk")                      \
	X(UNAVAILABLE,         14, "too busy or stopping: try again, RetryInfo says when")         \
	X(DATA_LOSS,           15, "never sent")                                                   \
	X(UNAUTHENTICATED,     16, "no token")
/* clang-format on */

enum grpc_status {
#define X(name, number, when) GRPC_##name = number,
	GRPC_STATUSES(X)
#undef X
		GRPC_STATUS_COUNT
};
