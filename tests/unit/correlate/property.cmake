# SPDX-License-Identifier: Apache-2.0
# Random services, an oracle, and the correlator between them.
add_executable(test_correlate_property test_property.c cast.c claims_grade.c claims_hostile.c
	claims_clock.c claims_lie.c claims_life.c claims_loss.c claims_order.c claims_slips.c schedule.c schedule_cast.c
	schedule_clock.c schedule_program.c schedule_record.c schedule_truth.c
	explain.c scenario.c scenario_parts.c scenario_slips.c scenario_styles.c oracle.c player.c losses.c judge.c wall.c)
target_link_libraries(test_correlate_property PRIVATE spanwise_flags spanwise_correlate
	PkgConfig::CMOCKA)
add_test(NAME unit/correlate/property COMMAND test_correlate_property)
set_tests_properties(unit/correlate/property PROPERTIES TIMEOUT ${SPANWISE_HANGS_S})
