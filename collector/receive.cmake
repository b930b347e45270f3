# SPDX-License-Identifier: Apache-2.0
# Sockets, TLS, what receives OTLP and what sends it on; included by CMakeLists.txt beside it.
list(APPEND SPANWISE_COLLECTOR_SOURCES
	export/forward.c export/forward_answer.c export/forward_cursor.c export/forward_sender.c
	net/admission.c net/credentials.c net/endpoint.c net/exposure.c net/file_stamp.c
	net/guards.c net/listener.c
	net/network.c net/origins.c net/tls.c net/tokens.c net/transport.c
	receive/otlp_conn.c receive/otlp_gate.c receive/otlp_http1.c receive/otlp_http2.c
	receive/otlp_service.c)
