# SPDX-License-Identifier: Apache-2.0
# Reading profiles and agents' configurations; included by CMakeLists.txt beside it.
list(APPEND SPANWISE_COLLECTOR_SOURCES
	agent_config.c agent_text.c flame_svg.c json_tokens.c profile_collapsed.c profile_file.c profile_foreign.c profile_lines.c profile_name.c
	profile_perf.c profile_picture.c profile_pprof.c profile_speedscope.c profile_v8.c
	cli/check_agent.c cli/diagnose.c cli/diagnose_pair.c cli/diagnose_show.c cli/diagnose_stored.c cli/diff.c)
