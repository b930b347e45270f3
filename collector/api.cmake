# SPDX-License-Identifier: Apache-2.0
# The query API and the command line on it; included by CMakeLists.txt beside it.
list(APPEND SPANWISE_COLLECTOR_SOURCES
	http1.c http1_head.c http1_respond.c render.c)
