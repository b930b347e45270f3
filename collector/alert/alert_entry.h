/* SPDX-License-Identifier: Apache-2.0 */
/* An alert as the state keeps it: JSON, with times as strings of ns. */
#pragma once

#include "collector/alert/alert_book.h"

#define ALERT_ENTRY_PREFIX "alert/"

void alert_entry_put(const struct alert *alert, struct alert_batch *batch);
void alert_entry_remove(const struct alert *alert, struct alert_batch *batch);

/* Makes the alert that `value` describes, to be freed by alert_entry_free. -ENOENT: its rule is
 * gone; -EBADMSG; -ENOMEM. */
int alert_entry_read(struct str value, const struct alert_rules *rules, struct alert **out_alert);

/* Inactive. NULL: out of memory. */
struct alert *alert_entry_new(const struct alert_rule *rule, const struct alert_subject *subject);
void alert_entry_free(struct alert *alert);

/* 32 hex digits that name the alert and `salt`, the same on every machine and at every start. */
#define ALERT_ENTRY_ID_HEX 32
void alert_entry_id(const struct alert *alert, uint64_t salt, char out_id[ALERT_ENTRY_ID_HEX + 1]);
