/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/unwind_code.h"

#include <errno.h>
#include <string.h>

#include "collector/base/macros.h"

#define MAX_SAVED 8

enum register_number { REGISTER_RDI = 5, REGISTER_FP = 6, REGISTER_SP = 7, REGISTER_RETURN = 16 };

/* DWARF's rule for the frame of the caller, and for the two registers that a walk needs. */
struct rule {
	uint8_t cfa; /* enum unwind_cfa; UNWIND_END: in a register that no walk knows */
	int64_t cfa_offset;
	uint8_t fp; /* enum unwind_fp */
	int64_t fp_offset;
	bool has_return; /* false: the outermost function */
	bool return_in_rdi;
};

struct machine {
	const struct unwind_common *common;
	struct rule rule, initial, saved[MAX_SAVED];
	unsigned saved_count;
	uint64_t address;
	bool is_wrong;
};

/* ---- reading */

uint64_t unwind_read_fixed(struct unwind_reader *reader, unsigned bytes)
{
	uint64_t value = 0;

	if (!reader->at || (size_t)(reader->end - reader->at) < bytes) {
		reader->at = NULL;
		return 0;
	}
	memcpy(&value, reader->at, bytes);
	reader->at += bytes;
	return value;
}

uint64_t unwind_read_uleb(struct unwind_reader *reader)
{
	uint64_t value = 0, byte;
	unsigned shift = 0;

	do {
		byte = unwind_read_fixed(reader, 1);
		value |= shift < 64 ? (byte & 0x7f) << shift : 0;
		shift += 7;
	} while (reader->at && byte & 0x80);
	return value;
}

int64_t unwind_read_sleb(struct unwind_reader *reader)
{
	uint64_t value = 0, byte;
	unsigned shift = 0;

	do {
		byte = unwind_read_fixed(reader, 1);
		value |= shift < 64 ? (byte & 0x7f) << shift : 0;
		shift += 7;
	} while (reader->at && byte & 0x80);
	if (shift < 64 && byte & 0x40)
		value |= ~0ull << shift;
	return (int64_t)value;
}

uint64_t unwind_read_encoded(struct unwind_reader *reader, uint8_t encoding)
{
	uint64_t place = reader->at ? reader->vaddr + (uint64_t)(reader->at - reader->base) : 0;
	uint64_t value;

	switch (encoding & 0x0f) {
	case 0x00: /* absptr */
	case 0x04: /* udata8 */
	case 0x0c: /* sdata8 */
		value = unwind_read_fixed(reader, 8);
		break;
	case 0x01:
		value = unwind_read_uleb(reader);
		break;
	case 0x09:
		value = (uint64_t)unwind_read_sleb(reader);
		break;
	case 0x02:
		value = unwind_read_fixed(reader, 2);
		break;
	case 0x0a:
		value = (uint64_t)(int16_t)unwind_read_fixed(reader, 2);
		break;
	case 0x03:
		value = unwind_read_fixed(reader, 4);
		break;
	case 0x0b:
		value = (uint64_t)(int32_t)unwind_read_fixed(reader, 4);
		break;
	default:
		reader->at = NULL;
		return 0;
	}
	if ((encoding & 0x70) == 0x10) /* pcrel */
		return value + place;
	if (encoding & 0x70)
		reader->at = NULL;
	return value;
}

/* ---- rules */

static void set_cfa(struct machine *machine, uint64_t number, int64_t offset)
{
	machine->rule.cfa = number == REGISTER_SP   ? UNWIND_SP
			    : number == REGISTER_FP ? UNWIND_FP
						    : UNWIND_END;
	machine->rule.cfa_offset = offset;
}

/* Whatever a file says: what does not fit wraps around, and is refused as a rule. */
static int64_t scaled(const struct machine *machine, uint64_t count)
{
	return (int64_t)(count * (uint64_t)machine->common->data_align);
}

static void set_saved(struct machine *machine, uint64_t number, int64_t offset)
{
	if (number == REGISTER_RETURN) {
		machine->rule.has_return = true;
		machine->rule.return_in_rdi = false;
		machine->is_wrong |= offset != -8;
	}
	if (number != REGISTER_FP)
		return;
	machine->rule.fp = UNWIND_FP_AT_CFA;
	machine->rule.fp_offset = offset;
}

static void set_lost(struct machine *machine, uint64_t number)
{
	if (number == REGISTER_FP)
		machine->rule.fp = UNWIND_FP_LOST;
	if (number == REGISTER_RETURN)
		machine->rule.has_return = false;
}

/* The caller's register is in another one. */
static void set_register(struct machine *machine, uint64_t number, uint64_t where)
{
	if (number == REGISTER_FP)
		machine->rule.fp = UNWIND_FP_LOST;
	if (number != REGISTER_RETURN)
		return;
	machine->rule.return_in_rdi = where == REGISTER_RDI;
	machine->is_wrong |= where != REGISTER_RDI;
}

static void restore(struct machine *machine, uint64_t number)
{
	if (number == REGISTER_FP) {
		machine->rule.fp = machine->initial.fp;
		machine->rule.fp_offset = machine->initial.fp_offset;
	}
	if (number == REGISTER_RETURN) {
		machine->rule.has_return = machine->initial.has_return;
		machine->rule.return_in_rdi = false;
	}
}

static struct unwind_reader read_block(struct unwind_reader *reader)
{
	uint64_t bytes = unwind_read_uleb(reader);
	struct unwind_reader block = *reader;

	if (!reader->at || bytes > (uint64_t)(reader->end - reader->at)) {
		reader->at = NULL;
		block.at = NULL;
		return block;
	}
	block.end = reader->at + bytes;
	reader->at += bytes;
	return block;
}

/* rsp + 8 + ((rip & 15) >= N) * 8: an entry of the procedure linkage table that has pushed, or not
 * yet. */
static bool is_plt(struct unwind_reader block, int64_t *out_from)
{
	static const uint8_t before[] = { 0x77, 0x08, 0x80, 0x00, 0x3f, 0x1a };
	static const uint8_t after[] = { 0x2a, 0x33, 0x24, 0x22 };
	const uint8_t *at = block.at;

	if (!at || block.end - at != sizeof(before) + 1 + sizeof(after) ||
	    memcmp(at, before, sizeof(before)) != 0 ||
	    memcmp(at + sizeof(before) + 1, after, sizeof(after)) != 0)
		return false;
	*out_from = at[sizeof(before)] - 0x30; /* DW_OP_litN */
	return *out_from >= 0 && *out_from < 16;
}

/* *(register + A) + B: functions that align their stack. */
static void set_cfa_expression(struct machine *machine, struct unwind_reader block)
{
	int64_t from, inner, outer = 0;
	uint64_t op;

	machine->rule.cfa = UNWIND_END;
	if (is_plt(block, &from)) {
		machine->rule.cfa = UNWIND_PLT;
		machine->rule.cfa_offset = from * 8;
		return;
	}
	op = unwind_read_fixed(&block, 1);
	inner = unwind_read_sleb(&block);
	if (op != 0x70 + REGISTER_FP && op != 0x70 + REGISTER_SP)
		return;
	if (unwind_read_fixed(&block, 1) != 0x06) /* DW_OP_deref */
		return;
	if (block.at && block.at < block.end) {
		if (unwind_read_fixed(&block, 1) != 0x23) /* DW_OP_plus_uconst */
			return;
		outer = (int64_t)unwind_read_uleb(&block);
	}
	if (!block.at || block.at != block.end || inner % 8 || outer % 8 || inner < -1024 ||
	    inner > 1016 || outer < 0 || outer > 1016)
		return;
	machine->rule.cfa = op == 0x70 + REGISTER_FP ? UNWIND_FP_DEREF : UNWIND_SP_DEREF;
	machine->rule.cfa_offset = 8 * (int64_t)((uint8_t)(inner / 8) | (uint64_t)(outer / 8) << 8);
}

/* Where the caller's rbp is: at rbp + A, in the functions above; elsewhere it is lost. */
static void set_expression(struct machine *machine, uint64_t number, struct unwind_reader block)
{
	uint64_t op;
	int64_t offset;

	if (number != REGISTER_FP) {
		machine->is_wrong |= number == REGISTER_RETURN && !machine->common->is_signal;
		return;
	}
	op = unwind_read_fixed(&block, 1);
	offset = unwind_read_sleb(&block);
	machine->rule.fp = op == 0x70 + REGISTER_FP && block.at && block.at == block.end
				   ? UNWIND_FP_AT_FP
				   : UNWIND_FP_LOST;
	machine->rule.fp_offset = offset;
}

/* A rule as the kernel half reads it. */
static struct unwind_row row_of(const struct machine *machine)
{
	const struct rule *rule = &machine->rule;
	struct unwind_row row = { .cfa = rule->cfa, .fp = rule->fp };
	int64_t offset = rule->cfa_offset / 8;

	if (machine->common->is_signal)
		return (struct unwind_row){ .cfa = UNWIND_SIGNAL };
	if (!rule->has_return)
		return (struct unwind_row){ .cfa = UNWIND_STOP };
	if (rule->cfa_offset % 8 || offset < 0 || offset > UINT16_MAX || machine->is_wrong ||
	    rule->cfa == UNWIND_END)
		return (struct unwind_row){ .cfa = UNWIND_END };
	row.offset = (uint16_t)offset;
	if (rule->return_in_rdi)
		row.cfa = rule->cfa == UNWIND_SP ? UNWIND_RDI : UNWIND_END;
	if (row.fp != UNWIND_FP_SAME && row.fp != UNWIND_FP_LOST) {
		if (rule->fp_offset < INT16_MIN || rule->fp_offset > INT16_MAX)
			row.fp = UNWIND_FP_LOST;
		else
			row.fp_offset = (int16_t)rule->fp_offset;
	}
	return row;
}

/* ---- instructions */

static void remember(struct machine *machine)
{
	if (machine->saved_count == MAX_SAVED)
		machine->is_wrong = true;
	else
		machine->saved[machine->saved_count++] = machine->rule;
}

static void recall(struct machine *machine)
{
	if (machine->saved_count == 0)
		machine->is_wrong = true;
	else
		machine->rule = machine->saved[--machine->saved_count];
}

/* A register that has a value instead of a place: the frame pointer is lost by that. */
static void step_value(struct machine *machine, struct unwind_reader *code, uint8_t op)
{
	set_lost(machine, unwind_read_uleb(code) == REGISTER_FP ? REGISTER_FP : 0);
	if (op == 0x16)
		read_block(code);
	else
		unwind_read_uleb(code);
}

/* Those that do not advance. */
static void step_extended(struct machine *machine, struct unwind_reader *code, uint8_t op)
{
	uint64_t number;

	switch (op) {
	case 0x00: /* nop */
		return;
	case 0x05: /* offset_extended */
		number = unwind_read_uleb(code);
		return set_saved(machine, number, scaled(machine, unwind_read_uleb(code)));
	case 0x06: /* restore_extended */
		return restore(machine, unwind_read_uleb(code));
	case 0x07: /* undefined */
		return set_lost(machine, unwind_read_uleb(code));
	case 0x08: /* same_value */
		if (unwind_read_uleb(code) == REGISTER_FP)
			machine->rule.fp = UNWIND_FP_SAME;
		return;
	case 0x09: /* register */
		number = unwind_read_uleb(code);
		return set_register(machine, number, unwind_read_uleb(code));
	case 0x0a:
		return remember(machine);
	case 0x0b:
		return recall(machine);
	case 0x0c: /* def_cfa */
		number = unwind_read_uleb(code);
		return set_cfa(machine, number, (int64_t)unwind_read_uleb(code));
	case 0x0d: /* def_cfa_register */
		return set_cfa(machine, unwind_read_uleb(code), machine->rule.cfa_offset);
	case 0x0e: /* def_cfa_offset */
		machine->rule.cfa_offset = (int64_t)unwind_read_uleb(code);
		return;
	case 0x0f: /* def_cfa_expression */
		return set_cfa_expression(machine, read_block(code));
	case 0x10: /* expression */
		number = unwind_read_uleb(code);
		return set_expression(machine, number, read_block(code));
	case 0x11: /* offset_extended_sf */
		number = unwind_read_uleb(code);
		return set_saved(machine, number,
				 scaled(machine, (uint64_t)unwind_read_sleb(code)));
	case 0x12: /* def_cfa_sf */
		number = unwind_read_uleb(code);
		return set_cfa(machine, number, scaled(machine, (uint64_t)unwind_read_sleb(code)));
	case 0x13: /* def_cfa_offset_sf */
		machine->rule.cfa_offset = scaled(machine, (uint64_t)unwind_read_sleb(code));
		return;
	case 0x14: /* val_offset */
	case 0x15: /* val_offset_sf */
	case 0x16: /* val_expression */
		return step_value(machine, code, op);
	case 0x2e: /* GNU_args_size */
		unwind_read_uleb(code);
		return;
	default:
		code->at = NULL;
	}
}

/* How far the instruction advances; UINT64_MAX: it does not. */
static uint64_t advance_of(struct machine *machine, struct unwind_reader *code, uint8_t op)
{
	uint64_t address;

	switch (op) {
	case 0x01: /* set_loc */
		address = unwind_read_encoded(code, machine->common->encoding);
		if (address < machine->address)
			code->at = NULL;
		return address - machine->address;
	case 0x02:
		return unwind_read_fixed(code, 1) * machine->common->code_align;
	case 0x03:
		return unwind_read_fixed(code, 2) * machine->common->code_align;
	case 0x04:
		return unwind_read_fixed(code, 4) * machine->common->code_align;
	default:
		return op >> 6 == 1 ? (op & 0x3f) * machine->common->code_align : UINT64_MAX;
	}
}

static void step(struct machine *machine, struct unwind_reader *code, uint8_t op)
{
	switch (op >> 6) {
	case 2: /* offset */
		set_saved(machine, op & 0x3f, scaled(machine, unwind_read_uleb(code)));
		return;
	case 3:
		restore(machine, op & 0x3f);
		return;
	default:
		step_extended(machine, code, op);
	}
}

int unwind_code_run(const struct unwind_common *common, struct unwind_reader code, uint64_t start,
		    uint64_t end, int (*put)(uint64_t address, struct unwind_row row, void *arg),
		    void *arg)
{
	struct machine machine = { .common = common,
				   .address = start,
				   .rule = { .has_return = true } };
	struct unwind_reader initial = code;
	int rc = 0;

	initial.at = common->code;
	initial.end = common->code_end;
	while (initial.at && initial.at < initial.end)
		step(&machine, &initial, (uint8_t)unwind_read_fixed(&initial, 1));
	if (!initial.at)
		return -EBADMSG;
	machine.initial = machine.rule;
	while (rc == 0 && code.at && code.at < code.end) {
		uint8_t op = (uint8_t)unwind_read_fixed(&code, 1);
		uint64_t advance = advance_of(&machine, &code, op);

		if (advance == UINT64_MAX) {
			step(&machine, &code, op);
			continue;
		}
		if (!code.at || advance > end - machine.address)
			return -EBADMSG;
		if (advance)
			rc = put(machine.address, row_of(&machine), arg);
		machine.address += advance;
	}
	if (!code.at)
		return -EBADMSG;
	return rc < 0 ? rc : put(machine.address, row_of(&machine), arg);
}
