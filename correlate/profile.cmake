# SPDX-License-Identifier: Apache-2.0
# The model of a profile and what is concluded from it; included by CMakeLists.txt beside it.
target_sources(spanwise_correlate PRIVATE
	"${CMAKE_CURRENT_LIST_DIR}/profile_text.c")
target_link_libraries(spanwise_correlate PUBLIC m)
