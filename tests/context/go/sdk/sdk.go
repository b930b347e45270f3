// SPDX-License-Identifier: Apache-2.0

// Package sdk stands in for the SDK: a program that is built with a module of
// this name may make spans.
package sdk
