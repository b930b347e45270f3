# SPDX-License-Identifier: Apache-2.0
# Reading profiles and agents' configurations; included by CMakeLists.txt beside it.
list(APPEND SPANWISE_COLLECTOR_SOURCES
	flame_svg.c)
