// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package main

// int chain_of_c(void) { return 1; }
import "C"

var _ = C.chain_of_c()
