// SPDX-License-Identifier: Apache-2.0

// JavaScript programs with one fault each: third.js CASE [FILE]
'use strict';
const fs = require('fs');

const RUN_MS = 3000;
let sink = 0;

function spend(n) {
	let sum = 0;
	for (let i = 0; i < n; i++) sum = (sum + i * 31) ^ (sum >> 3);
	return sum;
}

function repeat(work) {
	for (const end = Date.now() + RUN_MS; Date.now() < end;) work();
}

// Money is formatted with a formatter made anew for each line.

function formatMoney(amount) {
	return new Intl.NumberFormat('de-DE', { style: 'currency', currency: 'EUR' }).format(amount);
}

function renderInvoice(lines) {
	let text = '';
	for (let i = 0; i < lines; i++) text += formatMoney(i * 1.5);
	return text;
}

function addTaxes() { return spend(400000); }

function sendInvoice() {
	sink += renderInvoice(20).length;
	sink += addTaxes();
}

// The whole state is made into JSON after each change.

const state = Array.from({ length: 4000 }, (_, i) => ({ id: i, tags: ['a', 'b', String(i)], nested: { x: i } }));

function snapshotState() { return JSON.stringify(state); }

function applyChange(i) { state[i % 4000].nested.x++; }

function handleChange() {
	applyChange(sink++);
	sink += snapshotState().length & 1;
	sink += spend(300000) & 1;
}

// Every pair is compared.

function scoreMatch(a, b) {
	let score = 0;
	for (let i = 0; i < 40; i++) score += (a * i) ^ (b + i);
	return score;
}

function scoreMatches(n) {
	let best = 0;
	for (let a = 0; a < n; a++)
		for (let b = 0; b < n; b++) best = Math.max(best, scoreMatch(a, b));
	return best;
}

function listPlayers() { return spend(600000); }

function planRound() {
	sink += scoreMatches(300);
	sink += listPlayers();
}

async function main() {
	const [name, file] = process.argv.slice(2);
	if (name === 'state') {
		const { time, encode } = require('@datadog/pprof');
		time.start({ intervalMicros: 2000, durationMillis: RUN_MS });
		repeat(handleChange);
		fs.writeFileSync(file, await encode(time.stop()));
	} else {
		repeat({ invoice: sendInvoice, matches: planRound }[name]);
	}
}

main();
