# SPDX-License-Identifier: Apache-2.0
# Process and thread-context discovery: no BPF in it, so it builds and is tested alone.
set(SPANWISE_DISCOVERY_SOURCES
	cpu_wait.c discovery.c discovery_queue.c
	elf_cache.c elf_file.c elf_go.c elf_sections.c elf_symbols.c elf_tls.c
	process_context.c process_files.c process_identity.c process_look.c process_maps.c process_memory.c
	tls_layout.c tls_link_map.c tls_resolve.c)
if(NOT TARGET spanwise_discovery)
	list(TRANSFORM SPANWISE_DISCOVERY_SOURCES PREPEND "${CMAKE_CURRENT_LIST_DIR}/" OUTPUT_VARIABLE discovery_paths)
	add_library(spanwise_discovery STATIC ${discovery_paths})
	target_link_libraries(spanwise_discovery PUBLIC spanwise_flags spanwise_base)
endif()
