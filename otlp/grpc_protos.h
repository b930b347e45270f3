/* SPDX-License-Identifier: Apache-2.0 */
/* The .proto files that server reflection tells of, as protoc has compiled them into the program.
 */
#pragma once

#include "collector/base/str.h"

/* A google.protobuf.FileDescriptorSet; each file stands behind those that it imports. */
struct str grpc_protos(void);
