/* SPDX-License-Identifier: Apache-2.0 */
/* handle_report of chain.c in C++: the words
 *
 *   method     a virtual method, below a template and a lambda
 *   compare    below std::sort, through a lambda
 *   caught     in a handler of an exception
 *   unwound    in a destructor, while an exception goes past it
 *   spin       a method, on the CPU */
#include <algorithm>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <vector>

extern "C" void query_rows(void);
extern "C" void render_page(void);
extern "C" void handle_report(const char *word);

#define NOINLINE __attribute__((noinline))
#define STAY()   __asm__ volatile("" ::: "memory")

namespace shop
{

struct page {
	virtual ~page() = default;
	virtual void fill_rows() = 0;
};

struct table : page {
	NOINLINE void fill_rows() override
	{
		query_rows();
		STAY();
	}
};

template <typename What> NOINLINE void each_rows(const std::vector<What> &all, void (*visit)(What))
{
	for (const auto &one : all) {
		visit(one);
		STAY();
	}
}

NOINLINE void method_rows()
{
	table rows;

	each_rows<page *>({ &rows }, [](page *one) {
		one->fill_rows();
		STAY();
	});
	STAY();
}

NOINLINE void compare_rows()
{
	std::vector<int> rows = { 2, 1 };
	bool is_done = false;

	std::sort(rows.begin(), rows.end(), [&](int a, int b) {
		if (!is_done)
			query_rows();
		is_done = true;
		return a < b;
	});
	STAY();
}

NOINLINE void throw_rows(int what)
{
	STAY();
	throw std::runtime_error(what ? "no rows" : "rows");
}

NOINLINE void catch_rows()
{
	try {
		throw_rows(1);
	} catch (const std::runtime_error &) {
		query_rows();
		STAY();
	}
}

struct guard_rows {
	NOINLINE ~guard_rows()
	{
		query_rows();
		STAY();
	}
};

NOINLINE void unwind_rows()
{
	guard_rows guard;

	throw_rows(0);
}

NOINLINE void unwound_rows()
{
	try {
		unwind_rows();
	} catch (...) {
		STAY();
	}
}

} // namespace shop

void handle_report(const char *word)
{
	if (std::strcmp(word, "method") == 0)
		shop::method_rows();
	else if (std::strcmp(word, "compare") == 0)
		shop::compare_rows();
	else if (std::strcmp(word, "caught") == 0)
		shop::catch_rows();
	else if (std::strcmp(word, "unwound") == 0)
		shop::unwound_rows();
	else if (std::strcmp(word, "sleep") == 0 || std::strcmp(word, "thread") == 0)
		query_rows();
	else
		render_page();
	STAY();
}
