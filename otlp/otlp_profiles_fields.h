/* SPDX-License-Identifier: Apache-2.0 */
/* Field numbers of opentelemetry/proto/profiles/v1development/profiles.proto, as of
 * opentelemetry-proto ac2c4b5d. */
#pragma once

enum otlp_data_field { OTLP_DATA_RESOURCE = 1, OTLP_DATA_DICTIONARY = 2 };
enum otlp_resource_profiles_field { OTLP_RESOURCE_RESOURCE = 1, OTLP_RESOURCE_SCOPES = 2 };
enum otlp_scope_profiles_field { OTLP_SCOPE_SCOPE = 1, OTLP_SCOPE_PROFILES = 2 };

/* Of the dictionary. */
enum otlp_table {
	OTLP_TABLE_MAPPING = 1,
	OTLP_TABLE_LOCATION,
	OTLP_TABLE_FUNCTION,
	OTLP_TABLE_LINK,
	OTLP_TABLE_STRING,
	OTLP_TABLE_ATTRIBUTE,
	OTLP_TABLE_STACK,
	OTLP_TABLE_COUNT
};

enum otlp_profile_field {
	OTLP_PROFILE_SAMPLE_TYPE = 1,
	OTLP_PROFILE_SAMPLES,
	OTLP_PROFILE_TIME,
	OTLP_PROFILE_DURATION,
	OTLP_PROFILE_PERIOD_TYPE,
	OTLP_PROFILE_PERIOD
};

enum otlp_sample_field {
	OTLP_SAMPLE_STACK = 1,
	OTLP_SAMPLE_ATTRIBUTES,
	OTLP_SAMPLE_LINK,
	OTLP_SAMPLE_VALUES,
	OTLP_SAMPLE_TIMES
};

enum otlp_type_field { OTLP_TYPE_TYPE = 1, OTLP_TYPE_UNIT };
enum otlp_mapping_field { OTLP_MAPPING_FILE = 4 };
enum otlp_location_field {
	OTLP_LOCATION_MAPPING = 1,
	OTLP_LOCATION_ADDRESS,
	OTLP_LOCATION_LINES,
	OTLP_LOCATION_ATTRIBUTES
};
enum otlp_line_field { OTLP_LINE_FUNCTION = 1, OTLP_LINE_LINE };
enum otlp_function_field { OTLP_FUNCTION_NAME = 1, OTLP_FUNCTION_SYSTEM, OTLP_FUNCTION_FILE };
enum otlp_stack_field { OTLP_STACK_LOCATIONS = 1 };
enum otlp_link_field { OTLP_LINK_TRACE = 1, OTLP_LINK_SPAN };
enum otlp_attribute_field { OTLP_ATTRIBUTE_KEY = 1, OTLP_ATTRIBUTE_VALUE };
