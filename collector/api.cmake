# SPDX-License-Identifier: Apache-2.0
# The query API and the command line on it; included by CMakeLists.txt beside it.
list(APPEND SPANWISE_COLLECTOR_SOURCES
	http1.c http1_head.c http1_respond.c http_answer.c http_conn.c http_host.c render.c query.c query_lanes.c
	query/answer.c query/conditions.c query/health.c query/operation_view.c query/operations.c
	query/compare.c query/name_cache.c query/openapi.c query/params.c query/plumbing.c query/search.c query/slowest.c query/stacks.c query/subtree.c
	query/trace.c query/trace_otlp.c query/wait_table.c query/waits.c query/when.c
	flame.c flame_diff.c flame_protobuf.c flame_tree.c flame_write.c trace_events.c
	trace_events_write.c query/flame.c cli/flame.c
	cli/alike.c cli/bar.c cli/client.c cli/doctor.c cli/doctor_daemon.c cli/doctor_host.c
	cli/doctor_report.c cli/doctor_span.c cli/options.c cli/processes.c cli/search.c cli/show.c
	cli/show_tables.c cli/span_names.c cli/span_tree.c cli/status.c cli/story.c cli/story_code.c
	cli/story_items.c cli/story_served.c cli/story_waits.c cli/term.c cli/top.c cli/trace.c
	cli/waterfall.c cli/waterfall_cells.c cli/waterfall_svg.c)

# The assembler reads it; the build must know.
set_source_files_properties(query/openapi.c PROPERTIES
	OBJECT_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/query/openapi.json"
	COMPILE_OPTIONS "-Wa,-I${CMAKE_SOURCE_DIR}")
