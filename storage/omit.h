/* SPDX-License-Identifier: Apache-2.0 */
/* What of a stored span need not be read, in bits. The columns of a packed block in which it stands
 * are then not even unpacked; from other blocks it may come all the same. */
#pragma once

enum store_omit {
	STORE_OMIT_STACKS = 1, /* a ledger may have no stacks of code */
};
