/* SPDX-License-Identifier: Apache-2.0 */
/* What is told of an alert: to Alertmanager, to the webhook, by the API.
 *
 *   event
 * {"id","status":"firing|resolved|none","state","rule","service","operation","kind","labels":{},
 *             "annotations":{},"started_unix_ns","ended_unix_ns":null,"condition":[{"figure",
 *             "value","bound","is_above"}],"evidence":{...}|null,"link"}
 *
 * The labels are the rule's and alertname, service, operation, kind: the same each time, so that
 * Alertmanager knows the alert again. The id is the same for the same change of the same alert,
 * also after a restart. */
#pragma once

#include "collector/alert/alert_book.h"
#include "collector/base/json.h"

struct json_value;

/* Writes the object with this key. `url`: what links begin with. */
void alert_event_write(struct json *json, const char *key, const struct alert *alert,
		       const char *url);

/* One element of what Alertmanager's API v2 takes at /api/v2/alerts, made of an event. A firing
 * one ends at `ends_unix_ns` unless it is sent again before. */
void alert_event_to_alertmanager(struct json *json, const struct json_value *event,
				 uint64_t ends_unix_ns);
