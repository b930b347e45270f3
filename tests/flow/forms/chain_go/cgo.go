// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package main

// #include <time.h>
//
// __attribute__((noinline)) void c_wait_for_row(void)
// {
// 	const struct timespec moment = { 0, 20000000 };
//
// 	nanosleep(&moment, NULL);
// 	__asm__ volatile("" ::: "memory");
// }
//
// __attribute__((noinline)) void c_query_rows(void)
// {
// 	c_wait_for_row();
// 	__asm__ volatile("" ::: "memory");
// }
import "C"

//go:noinline
func callC() { C.c_query_rows() }

func init() { more["cgo"] = callC }
