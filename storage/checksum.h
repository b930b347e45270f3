/* SPDX-License-Identifier: Apache-2.0 */
/* 64 bits that tell torn or foreign bytes from ours, at memory speed. Not against forgers. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Chains: pass the result as the `seed` of what follows. Every single changed bit shows. */
uint64_t checksum_of(const void *data, size_t len, uint64_t seed);
