/* SPDX-License-Identifier: Apache-2.0 */
/* The Host header, against DNS rebinding. No state. */
#pragma once

#include <stdbool.h>

#include "collector/base/str.h"

/* Whether it names this machine by what no DNS server can have given: localhost, 127.0.0.1 or
 * [::1], with any port. A page whose name was rebound to 127.0.0.1 sends its own name. */
bool http_host_is_local(struct str host);
