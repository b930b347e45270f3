/* SPDX-License-Identifier: Apache-2.0 */
/* Text from anywhere as the text of an XML document. */
#pragma once

#include "collector/base/buf.h"

/* Markup is escaped. Bytes that are no UTF-8, and control characters, which XML has no way to say,
 * become question marks. */
void xml_put_text(struct buf *out, struct str text);
