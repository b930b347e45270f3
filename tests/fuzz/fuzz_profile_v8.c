/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/profile_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return profile_target_run("cpuprofile", data, len);
}
