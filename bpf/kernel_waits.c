/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/kernel_waits.h"

#include <stdbool.h>
#include <string.h>

#include "collector/base/macros.h"

/* A name that ends with '*' is the beginning of one. Where a name is shared by many kinds of wait
 * (wait_for_completion, schedule_timeout) its callers tell. */
static const struct rule {
	const char *name;
	enum event_kernel_wait wait;
} rules[] = {
	{ "futex_wait*", KERNEL_WAIT_LOCK },
	{ "__futex_wait", KERNEL_WAIT_LOCK },
	{ "futex_do_wait", KERNEL_WAIT_LOCK },
	{ "futex_lock_pi", KERNEL_WAIT_LOCK },
	{ "rwsem_down_*", KERNEL_WAIT_LOCK },
	{ "__mutex_lock*", KERNEL_WAIT_LOCK },
	{ "percpu_rwsem_wait", KERNEL_WAIT_LOCK },
	{ "__percpu_down_read", KERNEL_WAIT_LOCK },
	{ "__down*", KERNEL_WAIT_LOCK },
	{ "rt_mutex_slowlock*", KERNEL_WAIT_LOCK },
	{ "__rt_mutex_slowlock*", KERNEL_WAIT_LOCK },
	{ "locks_lock_inode_wait", KERNEL_WAIT_LOCK },
	{ "fcntl_setlk", KERNEL_WAIT_LOCK },
	{ "__break_lease", KERNEL_WAIT_LOCK },
	{ "do_semtimedop", KERNEL_WAIT_LOCK },
	{ "__lock_sock", KERNEL_WAIT_LOCK }, /* another thread is at the same socket */
	{ "__do_semtimedop", KERNEL_WAIT_LOCK },
	{ "sk_wait_data", KERNEL_WAIT_NET },
	{ "sk_stream_wait_*", KERNEL_WAIT_NET },
	{ "inet_csk_accept", KERNEL_WAIT_NET },
	{ "inet_wait_for_connect", KERNEL_WAIT_NET },
	{ "__inet_stream_connect", KERNEL_WAIT_NET },
	{ "unix_stream_read_generic", KERNEL_WAIT_NET },
	{ "unix_stream_data_wait", KERNEL_WAIT_NET },
	{ "unix_wait_for_peer", KERNEL_WAIT_NET },
	{ "unix_accept", KERNEL_WAIT_NET },
	{ "__skb_wait_for_more_packets", KERNEL_WAIT_NET },
	{ "sock_alloc_send_pskb", KERNEL_WAIT_NET },
	{ "vsock_*", KERNEL_WAIT_NET },
	{ "rpc_wait_bit_killable", KERNEL_WAIT_NET },
	{ "nfs_wait_bit_killable", KERNEL_WAIT_NET },
	{ "wait_for_response", KERNEL_WAIT_NET }, /* cifs */
	{ "jbd2_log_wait_commit", KERNEL_WAIT_DISK },
	{ "wait_transaction_locked", KERNEL_WAIT_DISK },
	{ "start_this_handle", KERNEL_WAIT_DISK },
	{ "submit_bio_wait", KERNEL_WAIT_DISK },
	{ "blk_mq_get_tag", KERNEL_WAIT_DISK },
	{ "rq_qos_wait", KERNEL_WAIT_DISK },
	{ "balance_dirty_pages*", KERNEL_WAIT_DISK },
	{ "wb_wait_for_completion", KERNEL_WAIT_DISK },
	{ "__wait_on_buffer", KERNEL_WAIT_DISK },
	{ "wait_on_page_bit*", KERNEL_WAIT_DISK },
	{ "folio_wait_bit*", KERNEL_WAIT_DISK },
	{ "xlog_wait*", KERNEL_WAIT_DISK },
	{ "xfs_log_force*", KERNEL_WAIT_DISK },
	{ "btrfs_wait_*", KERNEL_WAIT_DISK },
	{ "request_wait_answer", KERNEL_WAIT_DISK }, /* fuse */
	{ "p9_client_rpc", KERNEL_WAIT_DISK },
	{ "d_alloc_parallel", KERNEL_WAIT_DISK },
	{ "__wait_on_freeing_inode", KERNEL_WAIT_DISK },
	{ "inode_dio_wait*", KERNEL_WAIT_DISK },
	{ "handle_userfault", KERNEL_WAIT_FAULT },
	{ "do_swap_page", KERNEL_WAIT_FAULT },
	{ "kvm_async_pf_task_wait*", KERNEL_WAIT_FAULT },
	{ "try_to_free_*", KERNEL_WAIT_FAULT },
	{ "mem_cgroup_handle_over_high", KERNEL_WAIT_FAULT },
	{ "__mem_cgroup_handle_over_high", KERNEL_WAIT_FAULT },
	{ "mem_cgroup_oom_synchronize", KERNEL_WAIT_FAULT },
	{ "migration_entry_wait*", KERNEL_WAIT_FAULT },
	{ "handle_mm_fault", KERNEL_WAIT_IN_FAULT },
	{ "__handle_mm_fault", KERNEL_WAIT_IN_FAULT },
	{ "filemap_fault", KERNEL_WAIT_IN_FAULT },
	{ "do_epoll_wait", KERNEL_WAIT_POLL },
	{ "ep_poll", KERNEL_WAIT_POLL },
	{ "poll_schedule_timeout*", KERNEL_WAIT_POLL },
	{ "do_sys_poll", KERNEL_WAIT_POLL },
	{ "do_select", KERNEL_WAIT_POLL },
	{ "do_nanosleep", KERNEL_WAIT_SLEEP },
	{ "hrtimer_nanosleep", KERNEL_WAIT_SLEEP },
	{ "alarm_timer_nsleep", KERNEL_WAIT_SLEEP },
	{ "timerfd_read*", KERNEL_WAIT_SLEEP },
	{ "pipe_read", KERNEL_WAIT_PIPE },
	{ "pipe_write", KERNEL_WAIT_PIPE },
	{ "anon_pipe_read", KERNEL_WAIT_PIPE },
	{ "anon_pipe_write", KERNEL_WAIT_PIPE },
	{ "pipe_wait_readable", KERNEL_WAIT_PIPE },
	{ "pipe_wait_writable", KERNEL_WAIT_PIPE },
	{ "wait_for_partner", KERNEL_WAIT_PIPE }, /* the other end of a fifo */
	{ "fifo_open", KERNEL_WAIT_PIPE },
	{ "n_tty_read", KERNEL_WAIT_PIPE },
	{ "n_tty_write", KERNEL_WAIT_PIPE },
	{ "tty_wait_until_sent", KERNEL_WAIT_PIPE },
	{ "mq_timedreceive", KERNEL_WAIT_PIPE },
	{ "wq_sleep", KERNEL_WAIT_PIPE }, /* POSIX message queues */
	{ "do_msgrcv", KERNEL_WAIT_PIPE },
	{ "do_msgsnd", KERNEL_WAIT_PIPE },
	{ "do_wait", KERNEL_WAIT_CHILD },
	{ "__do_wait", KERNEL_WAIT_CHILD },
	{ "kernel_wait4", KERNEL_WAIT_CHILD },
	{ "kernel_waitid", KERNEL_WAIT_CHILD },
	{ "wait_for_vfork_done", KERNEL_WAIT_CHILD },
	{ "zap_pid_ns_processes", KERNEL_WAIT_CHILD },
	{ "do_sigtimedwait", KERNEL_WAIT_SIGNAL },
	{ "sigsuspend", KERNEL_WAIT_SIGNAL },
	{ "do_signal_stop", KERNEL_WAIT_SIGNAL },
	{ "do_freezer_trap", KERNEL_WAIT_SIGNAL },
	{ "ptrace_stop", KERNEL_WAIT_SIGNAL },
	{ "signalfd_read*", KERNEL_WAIT_SIGNAL },
	{ "signalfd_dequeue", KERNEL_WAIT_SIGNAL },
	{ "io_cqring_wait*", KERNEL_WAIT_IO_URING },
	{ "de_thread", KERNEL_WAIT_OTHER }, /* exec: the other threads have to end first */
	{ "coredump_task_exit", KERNEL_WAIT_OTHER },
	{ "__wait_rcu_gp", KERNEL_WAIT_OTHER },
	{ "synchronize_rcu*", KERNEL_WAIT_OTHER },
	{ "synchronize_srcu*", KERNEL_WAIT_OTHER },
	{ "__synchronize_srcu", KERNEL_WAIT_OTHER },
	{ "rcu_barrier", KERNEL_WAIT_OTHER },
	{ "seccomp_do_user_notification", KERNEL_WAIT_OTHER },
	{ "fanotify_get_response", KERNEL_WAIT_OTHER }, /* who watches has to allow it */
	{ "fanotify_handle_event", KERNEL_WAIT_OTHER },
};

static bool fits(const char *name, size_t bytes, const char *rule)
{
	size_t wanted = strlen(rule);

	if (rule[wanted - 1] == '*')
		return bytes >= wanted - 1 && memcmp(name, rule, wanted - 1) == 0;
	return bytes == wanted && memcmp(name, rule, wanted) == 0;
}

uint32_t kernel_waits_of(const char *name)
{
	size_t bytes = strcspn(name, ".");

	for (size_t i = 0; i < ARRAY_LEN(rules); i++)
		if (fits(name, bytes, rules[i].name))
			return rules[i].wait;
	return KERNEL_WAIT_UNKNOWN;
}

uint32_t kernel_waits_pick(const struct symbol_table *kernel,
			   struct kernel_wait out_waits[static KERNEL_WAITS])
{
	uint32_t count = 0;

	for (uint32_t i = 0; i + 1 < kernel->count && count < KERNEL_WAITS; i++) {
		const struct symbol_entry *entry = &kernel->entries[i];
		uint32_t wait = kernel_waits_of(symbol_table_name(kernel, entry));

		if (wait)
			out_waits[count++] = (struct kernel_wait){
				.start = entry->start,
				.bytes = (uint32_t)MIN(entry[1].start - entry->start,
						       (uint64_t)UINT32_MAX),
				.wait = wait,
			};
	}
	for (uint32_t i = count; i < KERNEL_WAITS; i++)
		out_waits[i] = (struct kernel_wait){ .start = UINT64_MAX };
	return count;
}
