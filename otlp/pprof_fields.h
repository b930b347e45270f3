/* SPDX-License-Identifier: Apache-2.0 */
/* The field numbers of pprof's profile.proto, for the reader and the writer.
 * https://github.com/google/pprof/blob/main/proto/profile.proto */
#pragma once

enum pprof_profile_field {
	PPROF_PROFILE_SAMPLE_TYPE = 1,
	PPROF_PROFILE_SAMPLE = 2,
	PPROF_PROFILE_MAPPING = 3,
	PPROF_PROFILE_LOCATION = 4,
	PPROF_PROFILE_FUNCTION = 5,
	PPROF_PROFILE_STRING = 6,
	PPROF_PROFILE_TIME = 9,
	PPROF_PROFILE_DURATION = 10,
	PPROF_PROFILE_PERIOD_TYPE = 11,
	PPROF_PROFILE_PERIOD = 12,
	PPROF_PROFILE_COMMENT = 13,
	PPROF_PROFILE_DEFAULT_TYPE = 14,
};

enum pprof_type_field { PPROF_TYPE_TYPE = 1, PPROF_TYPE_UNIT = 2 };

enum pprof_sample_field {
	PPROF_SAMPLE_LOCATION = 1,
	PPROF_SAMPLE_VALUE = 2,
	PPROF_SAMPLE_LABEL = 3,
};

enum pprof_label_field {
	PPROF_LABEL_KEY = 1,
	PPROF_LABEL_TEXT = 2,
	PPROF_LABEL_NUMBER = 3,
	PPROF_LABEL_UNIT = 4,
};

enum pprof_mapping_field {
	PPROF_MAPPING_ID = 1,
	PPROF_MAPPING_FILE = 5,
	PPROF_MAPPING_HAS_FUNCTIONS = 7,
};

enum pprof_location_field {
	PPROF_LOCATION_ID = 1,
	PPROF_LOCATION_MAPPING = 2,
	PPROF_LOCATION_ADDRESS = 3,
	PPROF_LOCATION_LINE = 4,
};

enum pprof_line_field { PPROF_LINE_FUNCTION = 1, PPROF_LINE_LINE = 2 };

enum pprof_function_field {
	PPROF_FUNCTION_ID = 1,
	PPROF_FUNCTION_NAME = 2,
	PPROF_FUNCTION_SYSTEM_NAME = 3,
	PPROF_FUNCTION_FILE = 4,
};
