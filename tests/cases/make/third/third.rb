# SPDX-License-Identifier: Apache-2.0

# A Ruby program with one fault, recorded by stackprof: a report is sorted with a block that parses. third.rb FILE
require 'stackprof'
require 'time'

def spend(count)
  sum = 0
  count.times { |i| sum = (sum + i * 31) & 65_535 }
  sum
end

def sort_by_date(rows)
  rows.sort { |a, b| Time.parse(a) <=> Time.parse(b) }
end

def print_rows(rows)
  rows.map { |row| row.upcase.reverse }
end

def show_report(rows)
  print_rows(sort_by_date(rows))
  spend(9000)
end

rows = (0...60).map { |i| format('2026-01-%02d 10:%02d:00', i * 7 % 28 + 1, i) }
StackProf.run(mode: :cpu, raw: true, interval: 2000, out: ARGV[0]) do
  finish = Process.clock_gettime(Process::CLOCK_MONOTONIC) + 3
  show_report(rows) while Process.clock_gettime(Process::CLOCK_MONOTONIC) < finish
end
