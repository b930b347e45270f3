/* SPDX-License-Identifier: Apache-2.0 */
/* What can be said of this machine without the daemon: kernel, BTF, privileges, ports, folder. */
#pragma once

#include "collector/cli/doctor_report.h"

/* Kernel version, BTF and the tracepoints in it, lockdown, sysctls, memlock. */
void doctor_host_kernel(struct doctor_report *report);

/* The capabilities of the probe that runs; without one, our own, which `serve` would start with. */
void doctor_host_capabilities(struct doctor_report *report);

/* Who listens at `address`; `is_ours`: the daemon answered there. */
void doctor_host_port(struct doctor_report *report, const char *name, const char *address,
		      bool is_ours);

/* The data folder: there, ours, with room. */
void doctor_host_folder(struct doctor_report *report, const char *path);
