// SPDX-License-Identifier: Apache-2.0
// Waits of Java's, each in a span (spans.c), all of them at each line that comes in. Says who ends them.
import java.io.*;
import java.net.*;
import java.nio.channels.*;
import java.nio.file.*;
import java.util.concurrent.*;
import java.util.concurrent.locks.LockSupport;

public class Waits {
  static final long WHILE_MS = 30;

  interface Work {
    void run() throws Exception;
  }

  static void say(String name, String kind, String tid) {
    System.out.println("{\"name\":\"" + name + "\",\"waker\":\"" + kind + "\",\"waker_tid\":" + tid + "}");
  }

  static String tid() throws IOException {
    return Files.readSymbolicLink(Path.of("/proc/thread-self")).getFileName().toString();
  }

  static void inSpan(String name, Work work) throws Exception {
    new File("/spans/begin/" + name).canRead();
    work.run();
    new File("/spans/end").canRead();
  }

  // `end` on another thread, a while after the wait has begun.
  static void ended(String name, String kind, Work wait, Work end) throws Exception {
    Thread other = new Thread(() -> {
      try {
        say(name, kind, tid());
        Thread.sleep(WHILE_MS);
        end.run();
      } catch (Exception failure) {
        failure.printStackTrace();
        System.exit(1);
      }
    });
    other.start();
    inSpan(name, wait);
    other.join();
  }

  static void timed(String name, Work wait) throws Exception {
    say(name, "timer", "0");
    inSpan(name, wait);
  }

  static void locks() throws Exception {
    Object monitor = new Object();
    CountDownLatch held = new CountDownLatch(1);
    Thread holder = new Thread(() -> {
      synchronized (monitor) {
        try {
          say("monitor", "thread", tid());
          held.countDown();
          Thread.sleep(WHILE_MS);
        } catch (Exception failure) {
          System.exit(1);
        }
      }
    });
    holder.start();
    held.await();
    inSpan("monitor", () -> { synchronized (monitor) { } });
    holder.join();
    Thread self = Thread.currentThread();
    ended("park", "thread", LockSupport::park, () -> LockSupport.unpark(self));
    timed("park-timed", () -> LockSupport.parkNanos(WHILE_MS * 1000000));
    timed("sleep", () -> Thread.sleep(WHILE_MS));
    ended("wait", "thread", () -> { synchronized (monitor) { monitor.wait(); } },
          () -> { synchronized (monitor) { monitor.notify(); } });
    BlockingQueue<Integer> queue = new ArrayBlockingQueue<>(1);
    ended("queue", "thread", queue::take, () -> queue.put(1));
  }

  static void sockets() throws Exception {
    InetAddress here = InetAddress.getLoopbackAddress();
    try (ServerSocket listener = new ServerSocket(0, 8, here);
         Socket one = new Socket(here, listener.getLocalPort());
         Socket other = listener.accept()) {
      ended("socket-read", "network", () -> one.getInputStream().read(), () -> other.getOutputStream().write(1));
      ended("accept", "network", () -> listener.accept().close(),
            () -> new Socket(here, listener.getLocalPort()).close());
    }
    try (ServerSocketChannel listener = ServerSocketChannel.open().bind(new InetSocketAddress(here, 0));
         SocketChannel one = SocketChannel.open(listener.getLocalAddress());
         SocketChannel other = listener.accept();
         Selector selector = Selector.open()) {
      one.configureBlocking(false);
      one.register(selector, SelectionKey.OP_READ);
      ended("selector", "network", selector::select, () -> other.write(java.nio.ByteBuffer.allocate(1)));
      timed("selector-timed", () -> { one.read(java.nio.ByteBuffer.allocate(1)); selector.selectedKeys().clear();
                                      selector.select(WHILE_MS); });
    }
  }

  static void files() throws Exception {
    try (RandomAccessFile fifo = new RandomAccessFile("orders.fifo", "rw")) {
      ended("pipe", "thread", fifo::read, () -> fifo.write(1));
    }
    Process sleeper = new ProcessBuilder("sleep", "0.05").start();
    inSpan("process", sleeper::waitFor);
    try (RandomAccessFile ledger = new RandomAccessFile("java.dat", "rw")) {
      ledger.write(new byte[1 << 20]);
      inSpan("force", () -> ledger.getChannel().force(true));
    }
  }

  public static void main(String[] words) throws Exception {
    System.out.println("\"started\"");
    while (System.in.read(new byte[16]) > 0) {
      locks();
      sockets();
      files();
      System.out.println("\"done\"");
    }
  }
}
