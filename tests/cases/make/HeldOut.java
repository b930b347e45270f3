// SPDX-License-Identifier: Apache-2.0

// Java programs with one fault each, recorded by the flight recorder: HeldOut CASE.
import java.util.ArrayList;
import java.util.List;
import java.util.function.Supplier;

public class HeldOut {
	static long sink;

	static long spend(long rounds) {
		long sum = 0;
		for (long i = 0; i < rounds; i++)
			sum = sum * 31 + i % 7;
		return sum;
	}

	/** String.matches compiles its pattern each time. */
	static class Importer {
		static boolean checkLine(String line) {
			return line.matches("([a-z]+,)*([0-9]+,)*[a-z0-9]+");
		}

		static void readLine(int i) {
			sink += spend(200 + i);
		}

		static void importFile() {
			for (int i = 0; i < 50; i++) {
				readLine(i);
				if (checkLine("alpha,beta,gamma,delta,1,2,3,4,5,6,7,8,9,omega" + i))
					sink++;
			}
		}
	}

	/** All of a shop's threads reserve under one monitor, and sleep in it. */
	static class Stock {
		synchronized void reserve() throws InterruptedException {
			Thread.sleep(3);
			sink += spend(1000);
		}
	}

	static void sellAll() throws InterruptedException {
		Stock stock = new Stock();
		List<Thread> threads = new ArrayList<>();
		for (int i = 0; i < 6; i++) {
			Thread thread = new Thread(() -> {
				try {
					for (int k = 0; k < 80; k++)
						stock.reserve();
				} catch (InterruptedException e) {
					throw new IllegalStateException(e);
				}
			});
			threads.add(thread);
			thread.start();
		}
		for (Thread thread : threads)
			thread.join();
	}

	/** A tree is printed recursively, each level by its own string. */
	static class Outline {
		static String print(int depth) {
			if (depth == 0)
				return "leaf " + spend(300);
			String below = print(depth - 1) + print(depth - 1);
			return "(" + below.substring(0, Math.min(40, below.length())) + ")";
		}

		static long parse() {
			return spend(800000);
		}
	}

	static void repeat(Supplier<Object> work) {
		long end = System.nanoTime() + 8_000_000_000L;
		while (System.nanoTime() < end)
			sink += work.get().hashCode();
	}

	public static void main(String[] arguments) throws InterruptedException {
		switch (arguments[0]) {
		case "matches" -> repeat(() -> {
			Importer.importFile();
			return sink;
		});
		case "monitor" -> sellAll();
		case "outline" -> repeat(() -> Outline.print(12).length() + Outline.parse());
		default -> throw new IllegalArgumentException(arguments[0]);
		}
		if (sink == 42)
			System.out.println(sink);
	}
}
