// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package main

// #include <time.h>
//
// extern void goQueryRows(void);
//
// static __attribute__((noinline)) void c_wait_for_row(void)
// {
// 	const struct timespec moment = { 0, 20000000 };
//
// 	nanosleep(&moment, NULL);
// 	__asm__ volatile("" ::: "memory");
// }
//
// static __attribute__((noinline)) void c_query_rows(void)
// {
// 	c_wait_for_row();
// 	__asm__ volatile("" ::: "memory");
// }
//
// static __attribute__((noinline)) void c_call_back(void)
// {
// 	goQueryRows();
// 	__asm__ volatile("" ::: "memory");
// }
//
// static __attribute__((noinline)) void c_visit_rows(void)
// {
// 	c_call_back();
// 	__asm__ volatile("" ::: "memory");
// }
import "C"

//go:noinline
func callC() { C.c_query_rows() }

//export goQueryRows
func goQueryRows() { queryRows() }

// From Go through C into Go.
//
//go:noinline
func callBack() { C.c_visit_rows() }

func init() {
	more["cgo"] = callC
	more["callback"] = callBack
}
