// SPDX-License-Identifier: Apache-2.0
//! handle_report of chain.c in Rust: the words
//!
//!   method     a trait's method, below a generic function and a closure
//!   compare    below sort_by, through a closure
//!   caught     in a hook, while a panic is on its way
//!   unwound    in a destructor, while a panic goes past it
//!   spin       on the CPU

use std::ffi::{c_char, CStr};
use std::panic;

extern "C" {
    fn query_rows();
    fn render_page();
}

#[inline(never)]
fn wait_rows() {
    unsafe { query_rows() }
    std::hint::black_box(());
}

trait Page {
    fn fill_rows(&self);
}

struct Table(u8);

impl Page for Table {
    #[inline(never)]
    fn fill_rows(&self) {
        wait_rows();
        std::hint::black_box(self.0);
    }
}

#[inline(never)]
fn each_rows<What, Visit: Fn(&What)>(all: &[What], visit: Visit) {
    for one in all {
        visit(one);
        std::hint::black_box(());
    }
}

#[inline(never)]
fn method_rows() {
    let pages: Vec<Box<dyn Page>> = vec![Box::new(Table(1))];
    each_rows(&pages, |page| {
        page.fill_rows();
        std::hint::black_box(());
    });
    std::hint::black_box(());
}

#[inline(never)]
fn compare_rows() {
    let mut rows = vec![2, 1];
    let mut is_done = false;
    rows.sort_by(|a: &i32, b| {
        if !is_done {
            wait_rows();
        }
        is_done = true;
        a.cmp(b)
    });
    std::hint::black_box(rows);
}

struct Guard;

impl Drop for Guard {
    #[inline(never)]
    fn drop(&mut self) {
        wait_rows();
        std::hint::black_box(());
    }
}

#[inline(never)]
fn panic_rows() {
    let _guard = Guard;
    std::hint::black_box(());
    panic!("no rows");
}

#[inline(never)]
fn unwound_rows() {
    panic::set_hook(Box::new(|_| ()));
    let _ = panic::catch_unwind(panic_rows);
    std::hint::black_box(());
}

#[inline(never)]
fn caught_rows() {
    panic::set_hook(Box::new(|_| wait_rows()));
    let _ = panic::catch_unwind(|| panic!("no rows"));
    std::hint::black_box(());
}

#[no_mangle]
pub extern "C" fn handle_report(word: *const c_char) {
    match unsafe { CStr::from_ptr(word) }.to_bytes() {
        b"method" => method_rows(),
        b"compare" => compare_rows(),
        b"caught" => caught_rows(),
        b"unwound" => unwound_rows(),
        b"sleep" | b"thread" => wait_rows(),
        _ => unsafe { render_page() },
    }
    std::hint::black_box(());
}
