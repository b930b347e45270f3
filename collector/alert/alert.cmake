# SPDX-License-Identifier: Apache-2.0
# Alert rules, their evaluation and delivery; included by CMakeLists.txt above.
list(APPEND SPANWISE_COLLECTOR_SOURCES
	http_client.c self_watch.c alert/alert_batch.c alert/alert_book.c alert/alert_courier.c alert/alert_entry.c
	alert/alert_event.c alert/alert_evidence.c alert/alert_history.c
	alert/alert_outbox.c alert/alert_rules.c
	alert/alert_sign.c alert/alert_source.c alert/alert_table.c alert/alert_target.c
	alert/alerter.c query/alerts.c cli/alerts.c
	cli/compare.c cli/completion.c cli/describe.c cli/man.c cli/screen.c)
