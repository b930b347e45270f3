/* SPDX-License-Identifier: Apache-2.0 */
/* grpc.reflection.v1.ServerReflection, by which grpcurl and the like learn what can be called;
 * v1alpha is the same under another name. No state. */
#pragma once

#include "collector/base/buf.h"
#include "collector/base/str.h"

#define GRPC_REFLECTION_INFO(version)                                                              \
	"/grpc.reflection." version ".ServerReflection/ServerReflectionInfo"

/* Appends the ServerReflectionResponse to a ServerReflectionRequest. `methods`: paths of what is
 * served, those of one service together; NULL ends them. What is asked for and not there is told in
 * the response. -EBADMSG: not a request; -ENOMEM. */
int grpc_reflection_answer(struct str request, const char *const *methods, struct buf *out);
