// Threads, collections, exceptions, sockets, processes and files of Java.
import java.io.*;
import java.net.*;
import java.nio.file.*;
import java.util.*;
import java.util.concurrent.*;
import java.util.stream.*;

public class Threads {
    static int fib(int n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }

    static int forever(int n) { return forever(n + 1) + 1; }

    static long work(int k) {
        long sum = 0;
        Map<Integer, String> map = new HashMap<>();
        for (int i = 0; i < 40000; i++) {
            map.put(i % 1000, "v" + i);
            sum += map.get(i % 1000).length() * (k + 1);
        }
        return sum;
    }

    static void threads() throws Exception {
        ExecutorService pool = Executors.newFixedThreadPool(6);
        List<Future<Long>> results = new ArrayList<>();
        for (int t = 0; t < 6; t++) {
            final int k = t;
            results.add(pool.submit(() -> work(k)));
        }
        for (Future<Long> f : results) System.out.println(f.get());
        pool.shutdown();
        System.out.println(IntStream.range(0, 100000).parallel().mapToLong(i -> i * 3L).sum());
        int[] numbers = new Random(1).ints(200000).toArray();
        Arrays.parallelSort(numbers);
        System.out.println(numbers[0] + " " + numbers[numbers.length - 1] + " " + fib(27));
    }

    static void memory() {
        List<byte[]> kept = new ArrayList<>();
        for (int i = 0; i < 3000; i++) {
            byte[] b = new byte[50000];
            if (i % 100 == 0) kept.add(b);
        }
        System.gc();
        System.out.println(kept.size());
    }

    // The machine finds these out by faults.
    static void faults() {
        try {
            ((Object) null).hashCode();
        } catch (NullPointerException e) {
            System.out.println("null");
        }
        try {
            forever(0);
        } catch (StackOverflowError e) {
            System.out.println("deep");
        }
    }

    static void outside() throws Exception {
        ServerSocket server = new ServerSocket(0, 10, InetAddress.getLoopbackAddress());
        Thread thread = new Thread(() -> {
            try (Socket s = server.accept()) {
                String line = new BufferedReader(new InputStreamReader(s.getInputStream())).readLine();
                s.getOutputStream().write(("echo " + line + "\n").getBytes());
            } catch (IOException e) {
                e.printStackTrace();
            }
        });
        thread.start();
        Socket client = new Socket(server.getInetAddress(), server.getLocalPort());
        client.getOutputStream().write("hi\n".getBytes());
        System.out.println(new BufferedReader(new InputStreamReader(client.getInputStream())).readLine());
        thread.join();
        Process p = new ProcessBuilder("sh", "-c", "echo sub; exit 3").start();
        System.out.println(new String(p.getInputStream().readAllBytes()).trim() + p.waitFor());
        try {
            new ProcessBuilder("/nonexistent").start();
        } catch (IOException e) {
            System.out.println(e.getMessage());
        }
        Files.writeString(Path.of("out.txt"), "x".repeat(1000));
        System.out.println(Files.size(Path.of("out.txt")));
    }

    public static void main(String[] arguments) throws Exception {
        threads();
        memory();
        faults();
        outside();
    }
}
