// SPDX-License-Identifier: Apache-2.0

import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.regex.Pattern;
import java.net.Socket;

/** Java programs with one fault each, to be recorded by async-profiler or perf: Third CASE. */
public class Third {
	static final long RUN_MS = 4000;
	static volatile long sink;

	static long spend(int n) {
		long sum = 0;

		for (int i = 0; i < n; i++)
			sum += i ^ sum << 1;
		return sum;
	}

	static void repeat(Runnable work) {
		for (long end = System.currentTimeMillis() + RUN_MS; System.currentTimeMillis() < end;)
			work.run();
	}

	/** A pattern is compiled for each price. */
	static class Prices {
		static boolean parsePrice(String text) {
			return Pattern.compile("^([0-9]+[,.])*[0-9]{2}\\s*(EUR|USD|CHF|GBP)$").matcher(text).find();
		}

		static void importPrices() {
			for (int i = 0; i < 200; i++)
				sink += parsePrice(i + ",99 EUR") ? 1 : 0;
			sink += spend(60000);
		}
	}

	/** Exact arithmetic for what an integer could do; many small objects. */
	static class Labels {
		static List<BigDecimal> priceLabels(int count) {
			List<BigDecimal> labels = new ArrayList<>();

			for (int i = 0; i < count; i++)
				labels.add(new BigDecimal(i + ".99").add(BigDecimal.ONE));
			return labels;
		}

		static void printLabels() {
			sink += priceLabels(400).size();
			sink += new byte[512].length;
		}
	}

	/** A quote comes from a peer (another process) that answers after 50 ms; eight workers of a pool have nothing to do. */
	static class Quotes {
		static int fetchQuote(Socket socket) throws Exception {
			socket.getOutputStream().write(1);
			return socket.getInputStream().read();
		}

		static void priceOffer(Socket socket) {
			try {
				sink += fetchQuote(socket);
			} catch (Exception error) {
				throw new IllegalStateException(error);
			}
			sink += spend(200000);
		}

		static void run(int port) throws Exception {
			ExecutorService pool = Executors.newFixedThreadPool(8);

			for (int i = 0; i < 8; i++)
				pool.submit(() -> sink++);
			try (Socket socket = new Socket("127.0.0.1", port)) {
				repeat(() -> priceOffer(socket));
			}
			pool.shutdownNow();
		}
	}

	/** All six threads book through one monitor, and the journal is formatted inside it. */
	static class Accounts {
		synchronized void book(int amount) {
			sink += String.format("%d %s %d", amount, "booked", sink).length() + spend(20000);
		}

		static void run() throws Exception {
			Accounts accounts = new Accounts();
			List<Thread> threads = new ArrayList<>();

			for (int i = 0; i < 6; i++)
				threads.add(new Thread(() -> repeat(() -> accounts.book(7)), "teller-" + i));
			for (Thread thread : threads)
				thread.start();
			for (Thread thread : threads)
				thread.join();
		}
	}

	/** A list is searched where a map would do. */
	static class Catalog {
		final List<String> names = new ArrayList<>();

		Catalog() {
			for (int i = 0; i < 3000; i++)
				names.add("article number " + i * 7919L);
		}

		int findArticle(String name) {
			for (int i = 0; i < names.size(); i++)
				if (names.get(i).equals(name))
					return i;
			return -1;
		}

		void fillBasket() {
			for (int i = 0; i < 30; i++)
				sink += findArticle("article number " + (2999 - i) * 7919L);
			sink += spend(50000);
		}
	}

	public static void main(String[] arguments) throws Exception {
		Catalog catalog = new Catalog();

		switch (arguments[0]) {
		case "prices":
			repeat(Prices::importPrices);
			break;
		case "labels":
			repeat(Labels::printLabels);
			break;
		case "quotes":
			Quotes.run(Integer.parseInt(arguments[1]));
			break;
		case "accounts":
			Accounts.run();
			break;
		default:
			repeat(catalog::fillBasket);
		}
		System.exit(0);
	}
}
