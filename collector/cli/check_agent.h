/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* check-config when --agent is among its arguments. Exit status. */
int check_agent(int argc, char **argv);
