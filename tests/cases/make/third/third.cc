// SPDX-License-Identifier: Apache-2.0

// C++ programs with one fault each, linked with gperftools: third_cc CASE
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include <gperftools/heap-profiler.h>
#include <gperftools/profiler.h>

namespace shop
{

static volatile unsigned sink;

__attribute__((noinline)) unsigned spend(unsigned n)
{
	unsigned sum = 0;

	for (unsigned i = 0; i < n; i++)
		sum += i ^ sum << 1;
	return sum;
}

// A tree of strings is built anew for each search.

template <typename Key> class SearchIndex
{
      public:
	__attribute__((noinline)) void addDocument(const Key &key, unsigned number)
	{
		words[key].push_back(number);
	}

      private:
	std::map<Key, std::vector<unsigned>> words;
};

__attribute__((noinline)) void buildSearchIndex(unsigned count)
{
	SearchIndex<std::string> index;

	for (unsigned i = 0; i < count; i++)
		index.addDocument("a long word of the document " + std::to_string(i * 7919 % count),
				  i);
}

__attribute__((noinline)) void searchCatalog()
{
	buildSearchIndex(3000);
	sink = sink + spend(400000);
}

// Sessions are kept under their token for ever; pages are made and dropped.

class SessionCache
{
      public:
	__attribute__((noinline)) void remember(unsigned number)
	{
		sessions[number] = std::make_unique<std::vector<char>>(2500);
	}

      private:
	std::unordered_map<unsigned, std::unique_ptr<std::vector<char>>> sessions;
};

__attribute__((noinline)) unsigned renderPage(unsigned number)
{
	std::string page(60000, static_cast<char>('a' + number % 20));

	return static_cast<unsigned>(page.size());
}

void serveSessions(unsigned from, unsigned count, SessionCache &cache)
{
	for (unsigned i = from; i < from + count; i++) {
		cache.remember(i);
		sink = sink + renderPage(i);
	}
}

} // namespace shop

int main(int argc, char **argv)
{
	if (argc > 2 && std::strcmp(argv[1], "sessions") == 0) {
		shop::SessionCache cache;

		HeapProfilerStart(argv[2]);
		shop::serveSessions(0, 1000, cache);
		HeapProfilerDump("base");
		shop::serveSessions(1000, 3000, cache);
		HeapProfilerDump("current");
		HeapProfilerStop();
	} else if (argc > 2) {
		ProfilerStart(argv[2]);
		for (int i = 0; i < 1500; i++)
			shop::searchCatalog();
		ProfilerStop();
	}
	return 0;
}
