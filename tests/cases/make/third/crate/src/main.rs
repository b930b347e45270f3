// SPDX-License-Identifier: Apache-2.0

//! A Rust program with one fault: every typed word is compared with the whole dictionary. `third FILE` writes a
//! pprof file by the crate `pprof`.
use pprof::protos::Message;
use std::time::{Duration, Instant};

#[inline(never)]
fn edit_distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut last = i;
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let next = (last + usize::from(x != y)).min(row[j] + 1).min(row[j + 1] + 1);
            last = row[j + 1];
            row[j + 1] = next;
        }
    }
    row[b.len()]
}

#[inline(never)]
fn suggest_words(typed: &str, dictionary: &[String]) -> usize {
    dictionary.iter().map(|word| edit_distance(typed.as_bytes(), word.as_bytes())).min().unwrap_or(0)
}

#[inline(never)]
fn underline(n: u64) -> u64 {
    (0..n).fold(0, |sum, i| sum ^ (i << 1).wrapping_add(sum))
}

#[inline(never)]
fn check_spelling(dictionary: &[String]) -> u64 {
    let mut sum = 0;
    for typed in ["recieve the parcels", "definately not so", "seperate all of them"] {
        sum += suggest_words(typed, dictionary) as u64;
    }
    sum + underline(300_000)
}

fn main() {
    let dictionary: Vec<String> = (0..900u32).map(|i| format!("word {} of them", i.wrapping_mul(2_654_435_761))).collect();
    let guard = pprof::ProfilerGuard::new(499).unwrap();
    let end = Instant::now() + Duration::from_secs(3);
    let mut sum = 0;
    while Instant::now() < end {
        sum ^= check_spelling(&dictionary);
    }
    let profile = guard.report().build().unwrap().pprof().unwrap();
    std::fs::write(std::env::args().nth(1).unwrap(), profile.encode_to_vec()).unwrap();
    println!("{sum}");
}
