# SPDX-License-Identifier: Apache-2.0
# The model of a profile and what is concluded from it; included by CMakeLists.txt beside it.
foreach(file agent_model profile profile_diagnose profile_diff profile_diff_rules profile_dominant
		profile_merge profile_pair profile_rule profile_rules_cpu profile_rules_quality profile_rules_wait profile_stack profile_tally profile_text profile_topic)
	target_sources(spanwise_correlate PRIVATE "${CMAKE_CURRENT_LIST_DIR}/${file}.c")
endforeach()
target_link_libraries(spanwise_correlate PUBLIC m)
