/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as the configuration of a profiling agent. What can be read can be judged. */
#include "collector/agent_config.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct agent_settings settings;
	struct agent_report report;
	struct buf message;

	buf_init(&message, 0);
	if (agent_config_parse((struct str){ (const char *)data, len }, &settings, &message) == 0) {
		MUST(settings.rate_hz > 0);
		MUST(agent_model_judge(&settings, &report) == 0);
		agent_report_fini(&report);
	} else {
		MUST(message.len > 0);
	}
	buf_fini(&message);
	return 0;
}
